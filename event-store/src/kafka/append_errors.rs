//! What kind an error of an append is, by its code and never by its words.

use crate::log::{AppendError, Rejection};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The kind of an error that a delivery report carries.
pub(super) fn append_error(error: &KafkaError) -> AppendError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::Fatal) => AppendError::Fatal(error.to_string()),
        Some(code) => rejection(code).map_or_else(|| AppendError::Unknown(error.to_string()), AppendError::Never),
        None => AppendError::Unknown(error.to_string()),
    }
}

/// The rejection that a code means; none where the record may stand in the log all the same, or may be taken later.
pub(super) fn rejection(code: RDKafkaErrorCode) -> Option<Rejection> {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, InvalidRecord, InvalidTimestamp, MessageBatchTooLarge, MessageSizeTooLarge, PolicyViolation,
        TopicAuthorizationFailed, UnsupportedForMessageFormat,
    };
    match code {
        MessageSizeTooLarge | MessageBatchTooLarge => Some(Rejection::TooLarge),
        InvalidRecord | InvalidTimestamp | PolicyViolation | UnsupportedForMessageFormat => Some(Rejection::Invalid),
        TopicAuthorizationFailed | ClusterAuthorizationFailed => Some(Rejection::NotAllowed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: RDKafkaErrorCode) -> AppendError {
        append_error(&KafkaError::MessageProduction(code))
    }

    #[test]
    fn the_code_says_whether_a_record_can_ever_stand_in_the_log() {
        assert_eq!(kind(RDKafkaErrorCode::MessageSizeTooLarge), AppendError::Never(Rejection::TooLarge));
        assert_eq!(kind(RDKafkaErrorCode::InvalidRecord), AppendError::Never(Rejection::Invalid));
        assert_eq!(kind(RDKafkaErrorCode::TopicAuthorizationFailed), AppendError::Never(Rejection::NotAllowed));
        assert!(matches!(kind(RDKafkaErrorCode::Fatal), AppendError::Fatal(_)));
        for doubtful in [
            RDKafkaErrorCode::MessageTimedOut,
            RDKafkaErrorCode::RequestTimedOut,
            RDKafkaErrorCode::NotEnoughReplicasAfterAppend,
            RDKafkaErrorCode::PurgeInflight,
            RDKafkaErrorCode::BrokerTransportFailure,
        ] {
            assert!(matches!(kind(doubtful), AppendError::Unknown(_)), "{doubtful:?}");
        }
    }
}
