//! `daybook gateway`: the simulated payment gateway as a process of its own.

use crate::{cli::GatewayArguments, failure::Failure, run::until_signal};
use consumers::simulated_gateway::{SimulatedGatewayConfig, serve};
use std::{io::Read, process::ExitCode, time::Duration};
use tokio::net::TcpListener;

/// Serves until it is told to stop.
pub async fn run(arguments: GatewayArguments) -> Result<ExitCode, Failure> {
    let listener =
        TcpListener::bind(arguments.http).await.map_err(|error| Failure::usage(format!("{} cannot be had: {error}", arguments.http)))?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    println!("simulated payment gateway on http://{address}");
    if arguments.exit_with_stdin {
        std::thread::spawn(exit_with_stdin);
    }
    let config = SimulatedGatewayConfig { slow: Duration::from_millis(arguments.slow_millis), books: arguments.books };
    serve(listener, config, until_signal()).await.map_err(Failure::failed)?;
    Ok(ExitCode::SUCCESS)
}

fn exit_with_stdin() {
    let mut rest = [0; 256];
    while std::io::stdin().read(&mut rest).is_ok_and(|read| read > 0) {}
    std::process::exit(0);
}
