//! What tells one log from another: its first record. Each log begins with a claim, whose nonce nobody has drawn before.

use crate::{LogError, RawRecord, log::Log};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long the first record may take to come.
const WITHIN: Duration = Duration::from_secs(10);

/// The identity of a partition's log, 16 hexadecimal digits; none while it is empty. A topic that is deleted and made anew has another
/// one; a copy that holds the same records has the same.
///
/// # Errors
/// The log does not answer, or has lost its beginning.
pub async fn log_identity(log: &dyn Log, partition: i32) -> Result<Option<String>, LogError> {
    if log.end(partition).await? == 0 {
        return Ok(None);
    }
    let mut cursor = log.read(partition, 0).await?;
    let first = async {
        loop {
            if let Some(first) = cursor.next().await?.into_iter().next() {
                return Ok(first);
            }
        }
    };
    let late = |_| LogError(format!("the first record of partition {partition} does not come"));
    let first = tokio::time::timeout(WITHIN, first).await.map_err(late)?;
    first.map(|first| Some(identity_of(&first)))
}

fn identity_of(first: &RawRecord) -> String {
    let mut hash = Sha256::new_with_prefix(first.offset.to_be_bytes());
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(&first.key);
    part(&first.payload);
    for (name, value) in first.headers.iter() {
        part(name.as_bytes());
        part(value);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::claim;
    use event_sourcing::Timestamp;

    #[test]
    fn two_claims_are_two_logs_and_a_copy_is_the_same() {
        let one = claim("accounts", "one", Timestamp(1), Vec::new()).at(0);
        let other = claim("accounts", "other", Timestamp(1), Vec::new()).at(0);
        assert_eq!(identity_of(&one), identity_of(&one.clone()));
        assert_ne!(identity_of(&one), identity_of(&other));
        assert_eq!(identity_of(&one).len(), 16);
    }
}
