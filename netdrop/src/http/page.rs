//! `/`: the status page, one document without anything from elsewhere.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Style and script stand in their own files, and go into the document as they are.
const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page and the policy that lets its own style and script run, by a number that nobody can foresee, and nothing else.
pub(super) async fn page() -> Response {
    let nonce = nonce();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (headers, document(&nonce)).into_response()
}

fn document(nonce: &str) -> String {
    DOCUMENT.replace("{NONCE}", nonce).replace("{STYLE}", STYLE).replace("{SCRIPT}", SCRIPT)
}

/// 128 bits. Where the kernel gives no random numbers, the page's own parts would be allowed by a number that is known: they
/// are not shown then.
fn nonce() -> String {
    let mut bytes = [0; 16];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => format!("{:032x}", u128::from_ne_bytes(bytes)),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_fill_in_and_nothing_comes_from_elsewhere() {
        let document = document("n0");
        for left in ["{NONCE}", "{STYLE}", "{SCRIPT}", "http://", "https://", "@import", " src=", "eval("] {
            assert!(!document.contains(left), "{left}");
        }
        assert_eq!(document.matches("nonce=\"n0\"").count(), 2);
    }

    /// Inline attributes would be refused by the policy, and text is never taken for HTML.
    #[test]
    fn names_of_others_are_never_html() {
        for unsafe_way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"] {
            assert!(!SCRIPT.contains(unsafe_way), "{unsafe_way}");
        }
        assert!(!DOCUMENT.contains(" style=") && !DOCUMENT.contains(" onclick="));
    }

    #[test]
    fn every_nonce_is_new() {
        assert_ne!(nonce(), nonce());
        assert_eq!(nonce().len(), 32);
    }
}
