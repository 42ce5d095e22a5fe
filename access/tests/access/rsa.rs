//! Tokens that RSA keys signed, and the keys' public halves. The private ones are thrown away: the tokens end in 2100.

/// A key, and a token of it, for `ada` by `https://id.example`.
pub struct Signed {
    pub jwk: &'static str,
    pub token: &'static str,
}

/// A key of 2048 bits.
pub const GOOD: Signed = Signed {
    jwk: r#"{"kty":"RSA","alg":"RS256","use":"sig","kid":"rsa-2048","n":"p8ub-B2MgpcgpjUqImb2l_eMrg47BbQ8NgoZRYVUSuvy25rliLUqqlODVDmJJp2zj3DfgWM_piZM7_4aAc_6bQiukgmv9Iv41daIBXMurgLLGQ4XIa_c4NqAfUt2_XHaT70NdiH0VmkDAKsSb2vWwOI0G5Ou_RyQ6vEVU8oXTXZyutl3DVXHIw6wGChxKywJmKVQr11AfTC60JKz3W3Ivmpo2KsOlgI2XV0cgUJyWLw-tdcDXLkjWBE1tgtjxtwUWkAq1KPEUuHyXung1-rzKFgF-C6IsHuAkpdMctZxtAMrPw5hA4KQACcq8FpVWnukAS8OGpd0b9UGQMn0aSPRTQ","e":"AQAB"}"#,
    token: "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0yMDQ4In0.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOlsiYWNjb3VudCIsImRheWJvb2siXSwic3ViIjoiYWRhIiwiZXhwIjo0MTAyNDQ0ODAwLCJ0eXAiOiJCZWFyZXIiLCJhenAiOiJ3ZWIiLCJyZWFsbV9hY2Nlc3MiOnsicm9sZXMiOlsiY3VzdG9tZXIiXX0sInNjb3BlIjoib3BlbmlkIn0.pe4Zk-t7PHdpMIy1CZTH0uEGq2HB2C51hVPx31CcAm-LKk6zJGJlZMSJdfiX3OgnsbUTKwxwQJE6cL-q7oH3RYXRgDBto8qEK7eQfJ-vcu2LCG2IRp48UGqpNMa9EqBbTGiLIohcpE2CLdhVu1OrnsQ6CQQOEoWw3WACQRxmxFRr0NDZE4FywCgqf0YbraUNmrzD9Jwi5QzDAOS9GtfeRjehACH7OSGfhjHAUxLvE7aQCQOs1m9gs2rViDCJp2Lurh5sRIM33RcpgRhDFvHROSCyrXS-mAAU8QloBGcdRHq3SDxz445XpjijHO64Tij1AgkVKFULGJCVh4Wc89lJ8g",
};

/// A key of 1024 bits: too short to be trusted.
pub const SHORT: Signed = Signed {
    jwk: r#"{"kty":"RSA","alg":"RS256","use":"sig","kid":"rsa-1024","n":"l4O-byrnwkzNeG170CZi6Y-XjWudm8IRy-SxYOfhNruv9s-S0aTLLfBe2yFhg1u_c78Duc8GxNElV6k7_NM7ae0kntk-jOTXuwqmo4m-qGaIBB6qXFoH5RLGU7X24vb6ttJo0UtcCIt0zbBUmelSFtOHh6krYxXiblfDfFxxPfE","e":"AQAB"}"#,
    token: "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xMDI0In0.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOlsiYWNjb3VudCIsImRheWJvb2siXSwic3ViIjoiYWRhIiwiZXhwIjo0MTAyNDQ0ODAwLCJ0eXAiOiJCZWFyZXIiLCJhenAiOiJ3ZWIiLCJyZWFsbV9hY2Nlc3MiOnsicm9sZXMiOlsiY3VzdG9tZXIiXX0sInNjb3BlIjoib3BlbmlkIn0.XxWK02vt3DDk13YPgA9pTJorLswBZuLdjcTld262VWGFJO5QLo1B2oWGLaKcEnJ0009xwO-jvbjLdWPDJDB-vRe3VfxfBtnj7HX2BEhq_yMZmg1mUURizEoCKliR1Nnk1mBWI0D3VxI4Cl_BUNxESEaPv7hbqKJOyCpado6WaRQ",
};
