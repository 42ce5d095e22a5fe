//! Delivery by SMTP, to a small server of the test's own: messages that it takes, refuses for good, or refuses for now.

use consumers::{Fault, NotNow};
use domain::{Email, NotificationId, UserId};
use shop::notifications::mail::{Contacts, Delivery, Post};
use std::sync::Arc;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Everybody's address.
struct At(&'static str);

const ADA: At = At("ada@example.com");

#[async_trait::async_trait]
impl Contacts for At {
    async fn email_of(&self, _: UserId) -> Result<Option<Email>, String> {
        Ok(Some(self.0.parse().expect("an address")))
    }
}

/// Speaks as much SMTP as a client needs (RFC 5321), answers the recipient with `rcpt`, and hands on the messages that it takes.
async fn server(rcpt: &'static str) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    let (taken, messages) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(talk(connection, rcpt, taken.clone()));
        }
    });
    (url, messages)
}

async fn talk(connection: TcpStream, rcpt: &str, taken: mpsc::UnboundedSender<String>) -> Option<()> {
    let mut connection = BufReader::new(connection);
    connection.write_all(b"220 test\r\n").await.ok()?;
    loop {
        let line = line(&mut connection).await?;
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "RCPT" => rcpt,
            "DATA" => {
                connection.write_all(b"354 go on\r\n").await.ok()?;
                taken.send(message(&mut connection).await?).ok()?;
                "250 taken"
            }
            _ => "250 well",
        };
        connection.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}

async fn line(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    (connection.read_line(&mut line).await.ok()? > 0).then(|| line.trim_end().to_owned())
}

async fn message(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut message = String::new();
    loop {
        match line(connection).await?.as_str() {
            "." => return Some(message),
            line => message.push_str(&format!("{line}\n")),
        }
    }
}

async fn deliver(url: &str) -> Delivery {
    deliver_to(ADA, url).await
}

async fn deliver_to(recipient: At, url: &str) -> Delivery {
    let post = Post::server(url, Arc::new(recipient), "Shop <shop@example.com>").expect("the settings are right");
    post.deliver(NotificationId::derive("t", "n"), UserId::derive("t", "ada"), "Your order", "It is paid (£5.90).").await
}

#[tokio::test]
async fn a_message_reaches_the_server_with_the_notifications_id() {
    let (url, mut messages) = server("250 well").await;
    assert_eq!(deliver(&url).await, Delivery::Taken);
    let message = messages.recv().await.expect("a message");
    let id = format!("Message-ID: <{}@daybook>", NotificationId::derive("t", "n"));
    for expected in [id.as_str(), "To: ada@example.com", "Subject: Your order", "Content-Type: text/plain; charset=utf-8"] {
        assert!(message.contains(expected), "{expected:?} is not in {message}");
    }
    let encoded = ["£5.90", "=C2=A35.90"];
    assert!(encoded.iter().any(|pounds| message.contains(pounds)), "{message}");
}

/// The delivery's outcome when the server answers the recipient like this.
async fn answered(rcpt: &'static str) -> Delivery {
    let (url, _messages) = server(rcpt).await;
    deliver(&url).await
}

fn fault(delivery: &Delivery) -> Option<Fault> {
    if let Delivery::NotNow(NotNow { fault, .. }) = delivery { Some(*fault) } else { None }
}

#[tokio::test]
async fn a_mailbox_that_does_not_exist_is_a_failure_for_good_and_a_busy_one_for_now() {
    let refused = answered("550 no such mailbox").await;
    assert!(matches!(&refused, Delivery::Impossible(why) if why.contains("no such mailbox")), "{refused:?}");
    assert_eq!(fault(&answered("451 busy").await), Some(Fault::Effect), "this recipient's alone");
}

#[tokio::test]
async fn an_address_that_the_server_cannot_take_is_no_proof_that_the_server_is_down() {
    let (url, _messages) = server("250 well").await;
    assert_eq!(fault(&deliver_to(At("björn@example.com"), &url).await), Some(Fault::Unclear));
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_delays_mails_and_fails_none() {
    assert_eq!(fault(&answered("535 the password was rotated").await), Some(Fault::Destination));
    assert_eq!(fault(&answered("421 going down").await), Some(Fault::Destination));
    assert_eq!(fault(&deliver("smtp://127.0.0.1:1").await), Some(Fault::Destination), "nobody answers");
}

#[test]
fn settings_that_name_no_server_or_sender_say_so() {
    let said = |url, from| Post::server(url, Arc::new(ADA), from).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said("mail.example.com", "Shop <shop@example.com>").contains("DAYBOOK_SMTP_URL must be"));
    assert!(said("smtp://mail.example.com", "the shop").contains("DAYBOOK_MAIL_FROM must be"));
}
