//! Why a JWT is refused. The client reads the message, which needs no escaping in JSON and has
//! nothing of the token.

/// Why a JWT is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidJwt {
    #[error("it is not a JWT in compact form with a header and claims in JSON")]
    Malformed,
    #[error("its key, by the header member kid, is none of the issuer's")]
    UnknownKey,
    #[error("its algorithm, by the header member alg, is not the one of its key")]
    Algorithm,
    #[error("its header has a type or an extension that is not supported")]
    Header,
    #[error("its signature is wrong")]
    Signature,
    #[error("it was issued by another issuer, by the claim iss")]
    Issuer,
    #[error("it is for another audience, by the claim aud")]
    Audience,
    #[error("it has expired, by the claim exp")]
    Expired,
    #[error("it is not valid yet, by the claim nbf")]
    NotYetValid,
    #[error(
        "it needs the claims iss, aud, sub, exp and nbf, of which one is missing or of another type"
    )]
    Claims,
    #[error("the claim sub must have 1 to 190 printable characters")]
    Subject,
}
