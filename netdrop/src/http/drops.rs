//! `/api/v1/drops`: the last detailed drops, and the choice among them.

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::{Refusal, json_text};
use super::router::Context;

/// Drops that are told when nobody says how many.
const USUAL: usize = 100;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    limit: Option<usize>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    class: String,
    #[serde(default)]
    function: String,
    #[serde(default)]
    device: String,
    #[serde(default)]
    netns: String,
    #[serde(default)]
    protocol: String,
}

/// Which drops are meant: each list in turn, separated by commas; an empty one means all.
#[derive(Debug, Default)]
pub(super) struct Choice {
    reason: Words,
    class: Words,
    function: Words,
    device: Words,
    netns: Words,
    protocol: Words,
}

/// The members of a drop's line that may be asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Members {
    reason: String,
    class: String,
    function: String,
    trap: Named,
    device: Named,
    netns: Named,
    packet: Packet,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    inode: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Packet {
    protocol: String,
}

impl Question {
    fn choice(self) -> Choice {
        Choice {
            reason: Words::new(&self.reason),
            class: Words::new(&self.class),
            function: Words::new(&self.function),
            device: Words::new(&self.device),
            netns: Words::new(&self.netns),
            protocol: Words::new(&self.protocol),
        }
    }
}

impl Choice {
    /// Whether a drop's line of JSON is among them.
    fn has(&self, line: &str) -> bool {
        let all = [&self.reason, &self.class, &self.function, &self.device, &self.netns, &self.protocol];
        if all.iter().all(|words| words.0.is_empty()) {
            return true;
        }
        let Ok(drop) = serde_json::from_str::<Members>(line) else { return false };
        self.reason.have(&drop.reason)
            && self.class.have(&drop.class)
            && (self.function.have(&drop.function) || self.function.have(&drop.trap.name))
            && self.device.have(&drop.device.name)
            && (self.netns.have(&drop.netns.name) || self.netns.have(&drop.netns.inode.to_string()))
            && self.protocol.have(&drop.packet.protocol)
    }
}

/// Words of which one is meant.
#[derive(Debug, Default)]
struct Words(Vec<String>);

impl Words {
    fn new(text: &str) -> Self {
        Self(text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }

    fn have(&self, word: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|one| one.eq_ignore_ascii_case(word))
    }
}

/// `{"drops":[…]}`: lines of the schema, the newest first.
pub(super) async fn drops(State(shared): Context, uri: Uri) -> Result<Response, Refusal> {
    let question: Question = ask(&uri)?;
    let limit = question.limit.unwrap_or(USUAL);
    let choice = question.choice();
    let Some(recent) = &shared.recent else {
        let message = "no drops are kept (recent_drops = 0); /api/v1/stream tells those that come";
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    };
    let lines = recent.newest(limit, |line| choice.has(line));
    Ok(json_text(format!("{{\"drops\":[{}]}}\n", lines.join(","))))
}

/// What stands behind the question mark.
///
/// # Errors
/// Names what isn't understood and what would be.
pub(super) fn ask<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    let query = Query::try_from_uri(uri);
    query.map(|Query(question)| question).map_err(|error| {
        // axum's own words for it come first, and say nothing.
        let message =
            std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Refusal::new(StatusCode::BAD_REQUEST, message)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::output::samples::{full, trapped, udp, written};
    use crate::output::{Json, Output as _};

    fn choice(query: &str) -> Choice {
        let uri = format!("/api/v1/drops?{query}").parse().unwrap();
        ask::<Question>(&uri).unwrap().choice()
    }

    fn line(parts: &crate::output::samples::Parts) -> String {
        written(|out| Json::new().drop(&parts.drop(1), out))
    }

    #[rstest]
    #[case("", true)]
    #[case("limit=3", true)]
    #[case("reason=NO_SOCKET", true)]
    #[case("reason=no_socket", true)]
    #[case("reason=XDP,NO_SOCKET", true)]
    #[case("reason=XDP", false)]
    #[case("class=no-receiver&device=lo&netns=host&protocol=udp", true)]
    #[case("netns=4026531840", true)]
    #[case("function=__udp4_lib_rcv", true)]
    #[case("function=ip_rcv", false)]
    #[case("device=eth0", false)]
    #[case("netns=7", false)]
    #[case("protocol=tcp", false)]
    #[case("class=policy", false)]
    fn a_drop_is_chosen_by_its_members(#[case] query: &str, #[case] chosen: bool) {
        assert_eq!(choice(query).has(&line(&udp())), chosen, "{}", line(&udp()));
    }

    #[test]
    fn a_trap_is_its_function() {
        let trapped = line(&trapped());
        let value: serde_json::Value = serde_json::from_str(&trapped).unwrap();
        let name = value["trap"]["name"].as_str().unwrap();
        assert!(choice(&format!("function={name}")).has(&trapped));
        assert!(!choice(&format!("function={name}")).has(&line(&full())));
    }

    #[rstest]
    #[case("limit=many")]
    #[case("limit=-1")]
    #[case("limit=1&limit=2")]
    #[case("raeson=X")]
    fn what_is_not_understood_is_told(#[case] query: &str) {
        let uri = format!("/?{query}").parse().unwrap();
        ask::<Question>(&uri).unwrap_err();
    }

    proptest! {
        #[test]
        fn any_query_is_a_question_or_an_error(query in "[ -~]{0,64}", words in "[a-z%&=,+0-9]{0,64}") {
            for text in [query, words] {
                let Ok(uri) = format!("/?{text}").parse::<Uri>() else { continue };
                if let Ok(question) = ask::<Question>(&uri) {
                    let _ = question.choice().has("{}");
                }
            }
        }

        #[test]
        fn any_line_is_chosen_or_not(text in any::<String>()) {
            prop_assert!(!choice("reason=X").has(&text));
            prop_assert!(choice("").has(&text));
        }
    }
}
