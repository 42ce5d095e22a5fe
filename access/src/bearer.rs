//! The token in a request's `Authorization` header (RFC 6750, 2.1).

use crate::Rejected;

/// The longest token that is read, in bytes. Keycloak's with many roles have 2 to 4 KiB.
pub const TOKEN_BOUND: usize = 8 * 1024;

/// The bearer token in the value of an `Authorization` header. Another scheme counts as no token: its bearer is told to bring one.
pub fn bearer(authorization: Option<&[u8]>) -> Result<&str, Rejected> {
    let value = authorization.ok_or(Rejected::Missing)?;
    let scheme_end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, token) = value.split_at(scheme_end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Rejected::Missing);
    }
    let token = token.trim_ascii();
    if token.len() > TOKEN_BOUND {
        return Err(Rejected::Malformed("it is longer than 8 KiB"));
    }
    let is_token = !token.is_empty() && token.iter().all(|byte| byte.is_ascii_graphic());
    std::str::from_utf8(token)
        .ok()
        .filter(|_| is_token)
        .ok_or(Rejected::Malformed("after `Bearer ` stands a token of visible ASCII characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_behind_its_scheme() {
        for good in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c "] {
            assert_eq!(bearer(Some(good.as_bytes())), Ok("a.b.c"), "{good}");
        }
        for none in ["", "Basic YTpi", "Bearera.b.c", "DPoP a.b.c"] {
            assert_eq!(bearer(Some(none.as_bytes())), Err(Rejected::Missing), "{none}");
        }
        assert_eq!(bearer(None), Err(Rejected::Missing));
        for bad in [&b"Bearer"[..], b"Bearer ", b"Bearer a b", b"Bearer \xff", b"Bearer a.\xc3\xa9.c"] {
            assert!(matches!(bearer(Some(bad)), Err(Rejected::Malformed(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_bounded() {
        let of = |length: usize| format!("Bearer {}", "a".repeat(length));
        assert!(bearer(Some(of(TOKEN_BOUND).as_bytes())).is_ok());
        assert!(matches!(bearer(Some(of(TOKEN_BOUND + 1).as_bytes())), Err(Rejected::Malformed(_))));
    }
}
