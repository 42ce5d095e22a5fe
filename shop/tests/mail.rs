//! Delivery by SMTP, to a small server of the test's own: messages that it takes, refuses for good, or refuses for now.

use consumers::{Fault, NotNow};
use domain::{NotificationId, UserId};
use mail_parser::MessageParser;
use shop::notifications::mail::{Contacts, Delivery, NO_ADDRESS, Post, Recipient};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

#[path = "../../tests/src/silence.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod silence;

use silence::falls_silent_after;

/// Everybody's address and name, as a log may hold them: an earlier build's rules were not as strict.
struct At(&'static str, String);

fn ada() -> At {
    At("ada@example.com", "Ada".into())
}

#[async_trait::async_trait]
impl Contacts for At {
    async fn recipient(&self, _: UserId) -> Result<Option<Recipient>, String> {
        let (email, name) = (serde_json::json!(self.0), serde_json::json!(self.1));
        let read = |error: serde_json::Error| error.to_string();
        Ok(Some(Recipient { email: serde_json::from_value(email).map_err(read)?, name: serde_json::from_value(name).map_err(read)? }))
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
    deliver_to(ada(), url).await
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
    for expected in [
        id.as_str(),
        "To: Ada <ada@example.com>",
        "MIME-Version: 1.0",
        "Date: ",
        "Subject: Your order",
        "Content-Type: text/plain; charset=utf-8",
    ] {
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
    assert_eq!(fault(&deliver_to(At("björn@example.com", "Björn".into()), &url).await), Some(Fault::Unclear));
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_delays_mails_and_fails_none() {
    assert_eq!(fault(&answered("535 the password was rotated").await), Some(Fault::Destination));
    assert_eq!(fault(&answered("421 going down").await), Some(Fault::Destination));
    assert_eq!(fault(&deliver("smtp://127.0.0.1:1").await), Some(Fault::Destination), "nobody answers");
}

#[test]
fn settings_that_name_no_server_or_sender_say_so() {
    let said = |url, from| Post::server(url, Arc::new(ada()), from).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said("mail.example.com", "Shop <shop@example.com>").contains("DAYBOOK_SMTP_URL must be"));
    assert!(said("smtp://mail.example.com", "the shop").contains("DAYBOOK_MAIL_FROM must be"));
}

/// The bytes of the message that the folder keeps.
async fn kept(name: &str, subject: &str, body: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let contacts = Arc::new(At("ada@example.com", name.into()));
    let post = Post::folder(folder.path().into(), contacts, "Der Kramladen für Ihr Töchterlein <shop@example.com>")
        .expect("the settings are right");
    let id = NotificationId::derive("t", "n");
    assert_eq!(post.deliver(id, UserId::derive("t", "ada"), subject, body).await, Delivery::Taken);
    std::fs::read(folder.path().join(format!("{id}.eml"))).expect("a message")
}

/// What another program reads in the message that the folder keeps must be what was meant, and every server must take it.
async fn is_whole(name: &str, subject: &str, body: &str) {
    let bytes = kept(name, subject, body).await;
    let shown = String::from_utf8_lossy(&bytes).into_owned();
    assert!(bytes.is_ascii(), "{shown}");
    assert!(shown.replace("\r\n", "").find(['\r', '\n']).is_none(), "each line ends in CRLF: {shown:?}");
    assert!(shown.split("\r\n").all(|line| line.len() <= 998), "no line is longer than RFC 5322 has it: {shown}");
    let read = MessageParser::default().parse(&bytes).expect("it is a message");
    let to = read.to().and_then(|to| to.as_list()).expect("recipients");
    assert_eq!(to.iter().map(|to| to.address()).collect::<Vec<_>>(), [Some("ada@example.com")], "{shown}");
    let plain = |text: &str| text.replace(char::is_control, " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(to[0].name().map(plain).unwrap_or_default(), plain(name), "{shown}");
    assert_eq!(read.subject().map(plain).unwrap_or_default(), plain(subject), "{shown}");
    assert_eq!(read.body_text(0).expect("a text").trim_end(), body.replace('\n', "\r\n").trim_end(), "{shown}");
    let names = ["Date", "Message-ID", "From", "To", "Subject", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];
    let mut found: Vec<&str> = read.headers().iter().map(|header| header.name()).collect();
    found.sort_unstable();
    let mut wanted = names.to_vec();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "each header once, and no other: {shown}");
    assert!(read.date().is_some_and(mail_parser::DateTime::is_valid), "{shown}");
    assert_eq!(
        read.from().and_then(|from| from.first()).and_then(|from| from.name()),
        Some("Der Kramladen für Ihr Töchterlein"),
        "{shown}"
    );
    assert!(shown.contains("Content-Type: text/plain; charset=utf-8"), "{shown}");
}

#[tokio::test]
async fn a_mail_is_a_whole_message_whatever_the_customer_is_called_or_says() {
    let names = [
        "Ada",
        "O'Hara, \"Bo\" <root@example.net>; (boss) \\",
        "王小明 👩‍💻",
        "محمد דוד",
        "Ada\r\nBcc: everybody@example.net",
        "=?utf-8?q?Ada?=",
        "@;,:.",
    ];
    for name in names {
        is_whole(name, "Your order is confirmed", "Your order is paid (£5.90).").await;
    }
    is_whole(&"Müller-Lüdenscheidt ".repeat(10), "Your order", "It is paid.").await;
    is_whole(&"x".repeat(200), "Your order", "It is paid.").await;
    let reasons = ["gefällt mir nicht 👎", "לא רוצה", "x\r\n.\r\nMAIL FROM:<a@example.net>", ".", "From here on", "--", "=3D"];
    for reason in reasons {
        is_whole(
            "Ada",
            &format!("Your order: {reason}"),
            &format!("Your order was cancelled: {}.\n{}", reason.replace('\r', ""), reason.replace('\r', "")),
        )
        .await;
    }
    for long in ["x".repeat(5000), "é".repeat(5000), "👎 ".repeat(3000), ".\n".repeat(2000)] {
        is_whole("Ada", "Your order", &long).await;
    }
}

/// The account may be closed between two attempts at the same message.
struct Leaves(std::sync::atomic::AtomicBool);

#[async_trait::async_trait]
impl Contacts for Leaves {
    async fn recipient(&self, user: UserId) -> Result<Option<Recipient>, String> {
        let gone = self.0.swap(true, std::sync::atomic::Ordering::SeqCst);
        if gone { Ok(None) } else { ada().recipient(user).await }
    }
}

#[tokio::test]
async fn each_attempt_looks_whether_there_is_still_somebody_to_write_to() {
    let (url, mut messages) = server("451 busy").await;
    let post = Post::server(&url, Arc::new(Leaves(false.into())), "shop@example.com").expect("the settings are right");
    let deliver = || post.deliver(NotificationId::derive("t", "n"), UserId::derive("t", "ada"), "Your order", "It is paid.");
    assert_eq!(fault(&deliver().await), Some(Fault::Effect));
    assert_eq!(deliver().await, Delivery::Impossible(NO_ADDRESS.into()));
    assert!(messages.try_recv().is_err());
}

proptest::proptest! {
    /// The edge and the post office have two parsers: what the edge takes, the post office must be able to write to.
    #[test]
    fn every_address_that_the_edge_takes_can_be_written_to(
        local in "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~.-]{1,66}|\\PC{1,8}",
        domain in "([a-zA-Z0-9üñ例-]{1,20}\\.){1,4}[a-zA-Z0-9例-]{1,8}|\\PC{1,20}",
    ) {
        if let Ok(email) = format!("{local}@{domain}").parse::<domain::Email>() {
            let address: lettre::Address = email.as_str().parse().expect("the post office takes it too");
            proptest::prop_assert!(email.as_str().is_ascii());
            let message = lettre::Message::builder().from("shop@example.com".parse().expect("a sender")).to(address.into());
            proptest::prop_assert!(message.body(String::new()).is_ok());
            proptest::prop_assert_eq!(email.as_str().parse::<domain::Email>(), Ok(email));
        }
    }
}

#[tokio::test]
async fn a_mail_server_that_falls_silent_is_waited_for_within_a_bound_at_every_stage() {
    let talk: &'static [&'static str] = &["220 test\r\n", "250 well\r\n", "250 well\r\n", "250 well\r\n", "354 go on\r\n"];
    let stages = (0..=talk.len()).map(|answers| async move {
        let url = format!("smtp://{}", falls_silent_after(&talk[..answers]).await);
        let outcome = tokio::time::timeout(Duration::from_secs(20), deliver(&url)).await;
        assert!(matches!(&outcome, Ok(Delivery::NotNow(NotNow { fault: Fault::Unclear, .. }))), "{answers} answers: {outcome:?}");
    });
    futures::future::join_all(stages).await;
}
