//! Asks an address which node lives there.

use super::wire::{WhoReply, WhoRequest, node_client::NodeClient};
use std::time::Duration;
use tonic::transport::Endpoint;

const CONNECT: Duration = Duration::from_secs(1);
/// How long a node may take to say who it is. One that stands still this long counts as gone.
const ANSWER: Duration = Duration::from_secs(2);

/// The name of the node that answers at `address`, `host:port`, and the life that it is in; none where nobody answers within 2 s.
pub async fn life_at(address: &str) -> Option<(String, String)> {
    let asking = async {
        let channel = Endpoint::from_shared(format!("http://{address}")).ok()?.connect_timeout(CONNECT).connect().await.ok()?;
        let WhoReply { node, life } = NodeClient::new(channel).who(WhoRequest {}).await.ok()?.into_inner();
        Some((node, life))
    };
    tokio::time::timeout(ANSWER, asking).await.ok().flatten()
}
