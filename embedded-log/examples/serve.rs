//! Serves the log in a directory until Ctrl-C: `cargo run -p embedded-log --example serve -- DIRECTORY [PORT]`.

use embedded_log::{Server, Store};
use std::{error::Error, net::SocketAddr, path::PathBuf, sync::Arc};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: serve DIRECTORY [PORT]")?);
    let port = arguments.next().map_or(Ok(9092), |port| port.parse())?;
    let store = Arc::new(Store::open(&directory)?);
    let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], port)), store).await?;
    println!("serving on {}", server.local_addr());
    server
        .run(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
