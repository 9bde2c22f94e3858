//! `/api/v1/explain/NAME`: the knowledge base.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{Refusal, json_text};
use crate::kernel::symbols::SymbolsError;
use crate::knowledge::{AskError, Kernel, ask};
use crate::output::explain::json;

/// Numbers and addresses are for `netdrop explain`: a daemon in its sandbox can't look into the kernel any more.
struct NoKernel;

impl Kernel for NoKernel {
    fn reason(&mut self, _: u32) -> Option<String> {
        None
    }

    fn function(&mut self, _: u64) -> Result<Option<(String, u64)>, SymbolsError> {
        Ok(None)
    }
}

/// `{"entries":[…]}`: objects as `netdrop explain --format json` writes them; a name may be a reason's and a function's.
pub(super) async fn explain(Path(name): Path<String>) -> Result<Response, Refusal> {
    let answer = ask(&name, &mut NoKernel).map_err(|error| match error {
        AskError::Unknown { .. } => Refusal::new(StatusCode::NOT_FOUND, error.to_string()),
        AskError::Number(_) | AskError::Address(_) | AskError::Symbols(..) => Refusal::new(
            StatusCode::BAD_REQUEST,
            "numbers and addresses are looked up by `netdrop explain` alone",
        ),
    })?;
    let entries: Vec<_> = answer.entries.iter().map(|entry| json(entry, Some(&answer))).collect();
    let entries: Vec<_> = entries.iter().map(|entry| entry.trim_end()).collect();
    Ok(json_text(format!("{{\"entries\":[{}]}}\n", entries.join(","))))
}
