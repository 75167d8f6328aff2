//! Errors as problem details (RFC 9457), with the rule that was broken in a form that programs can read.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use conclave_ledger::{chain::TransactionError, hash::Hash, pool::PoolError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of problem details.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which a client may try again what was refused for want of room.
const RETRY_AFTER_SECONDS: u32 = 1;

/// The rule that bounds the dials that callers wait for.
pub(super) const TOO_MANY_DIALS: &str = "node/too-many-dials";

/// An error as RFC 9457 describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{title}: {detail}")]
pub struct Problem {
    /// What kind of problem it is: `about:blank` where the status says it all, `urn:conclave:rule:…` for a rule.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status code in words.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What was wrong, where, and what to do.
    pub detail: String,
    /// What it is about, as a path of this API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub instance: Option<Box<str>>,
    /// The rule that was broken, such as `transaction/expired` or `poll/not-elector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub rule: Option<Box<str>>,
}

impl Problem {
    /// A problem that its status and `detail` describe.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Unknown").into(),
            status: status.as_u16(),
            detail: detail.into(),
            instance: None,
            rule: None,
        }
    }

    /// Something in the request that cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Something that is not there.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// Something that the node cannot do now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Names the rule that was broken.
    pub fn with_rule(mut self, rule: impl Into<String>) -> Self {
        let rule = rule.into();
        self.kind = format!("urn:conclave:rule:{rule}");
        self.rule = Some(rule.into());
        self
    }

    /// Why transaction `id` was not admitted.
    pub fn not_admitted(id: &Hash, error: &PoolError) -> Self {
        let (status, rule) = match error {
            PoolError::AlreadyWaiting => (StatusCode::CONFLICT, "pool/already-waiting".into()),
            PoolError::Full { .. } => (StatusCode::SERVICE_UNAVAILABLE, "pool/full".into()),
            PoolError::TooManyOfSender(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "pool/too-many-of-sender".into())
            }
            PoolError::Invalid(error @ TransactionError::AlreadyIncluded) => {
                (StatusCode::CONFLICT, transaction_rule(error))
            }
            PoolError::Invalid(error) => (StatusCode::UNPROCESSABLE_ENTITY, transaction_rule(error)),
        };
        Self { instance: Some(transaction_path(id)), ..Self::new(status, error.to_string()).with_rule(rule) }
    }

    /// Why transaction `id`, once admitted, can no longer be decided.
    pub fn dropped(id: &Hash, reason: &str) -> Self {
        let detail = format!("the transaction can no longer be decided: {reason}");
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_rule("pool/dropped");
        Self { instance: Some(transaction_path(id)), ..problem }
    }
}

impl From<crate::node::handle::Stopped> for Problem {
    fn from(stopped: crate::node::handle::Stopped) -> Self {
        Self::unavailable(stopped.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("a problem has only texts and numbers");
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if matches!(self.rule.as_deref(), Some("pool/full" | "pool/too-many-of-sender" | TOO_MANY_DIALS)) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response
    }
}

fn transaction_path(id: &Hash) -> Box<str> {
    format!("/v1/transactions/{id}").into()
}

/// The name of a rule: the application's and the rule's, or `transaction/` and the rule's.
fn transaction_rule(error: &TransactionError) -> String {
    match error {
        TransactionError::Refused(refusal) => {
            let text = format!("{refusal:?}");
            let mut names = text.split(|character: char| !character.is_ascii_alphanumeric());
            let (application, rule) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
            format!("{}/{}", kebab_case(application), kebab_case(rule))
        }
        other => {
            let text = format!("{other:?}");
            let name = text.split(|character: char| !character.is_ascii_alphanumeric()).next();
            format!("transaction/{}", kebab_case(name.unwrap_or_default()))
        }
    }
}

/// `NotElector` as `not-elector`.
fn kebab_case(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(character.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_ledger::{
        applications::{Refusal, governance::GovernanceError, polls, records::RecordError},
        keys::PublicKey,
    };

    #[test]
    fn rules_have_names_that_stay() {
        let refused = |refusal: Refusal| PoolError::Invalid(TransactionError::Refused(refusal));
        let expired = TransactionError::Expired { expires: 1, height: 2 };
        let cases = [
            (PoolError::AlreadyWaiting, 409, "pool/already-waiting"),
            (PoolError::Full { transactions: 1, bytes: 2 }, 503, "pool/full"),
            (PoolError::TooManyOfSender(1), 429, "pool/too-many-of-sender"),
            (PoolError::Invalid(TransactionError::AlreadyIncluded), 409, "transaction/already-included"),
            (PoolError::Invalid(expired), 422, "transaction/expired"),
            (PoolError::Invalid(TransactionError::Signature), 422, "transaction/signature"),
            (refused(Refusal::Record(RecordError::TooLarge(9))), 422, "record/too-large"),
            (
                refused(Refusal::Governance(GovernanceError::NotValidator(PublicKey([1; 32])))),
                422,
                "governance/not-validator",
            ),
            (refused(Refusal::Poll(polls::PollError::EmptyElectorate)), 422, "poll/empty-electorate"),
        ];
        for (error, status, rule) in cases {
            let problem = Problem::not_admitted(&Hash::ZERO, &error);
            assert_eq!((problem.status, problem.rule.as_deref()), (status, Some(rule)), "{error:?}");
            assert_eq!(problem.detail, error.to_string());
        }
    }
}
