//! What `--fail-on` found, for CI: `JUnit`'s XML (as Jenkins, GitLab and GitHub's reporters read it), and Markdown for the summary
//! of a GitHub job.

use std::fmt::Write as _;
use std::time::Duration;

use super::escape::markup;
use super::words::Plain;

/// An assertion, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// As it was written.
    pub text: String,
    /// Whether what must not happen did.
    pub failed: bool,
    /// What was found.
    pub why: String,
}

/// A test case an assertion, in one suite named after the command.
pub fn junit(command: &str, time: Duration, checked: &[Checked]) -> String {
    let failures = checked.iter().filter(|one| one.failed).count();
    let (tests, seconds, name) = (checked.len(), time.as_secs_f64(), markup(command));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" time=\"{seconds:.3}\"");
    let _ = writeln!(xml, "<testsuites name=\"netdrop run\" {counts}>");
    let _ = writeln!(xml, "  <testsuite name=\"{name}\" {counts} errors=\"0\" skipped=\"0\">");
    for one in checked {
        let case = format!(
            "    <testcase classname=\"netdrop\" name=\"not {}\" time=\"{seconds:.3}\"",
            markup(&one.text)
        );
        let why = markup(&one.why);
        let found = if one.failed {
            format!("<failure message=\"{why}\"/>")
        } else {
            format!("<system-out>{why}</system-out>")
        };
        let _ = writeln!(xml, "{case}>\n      {found}\n    </testcase>");
    }
    xml + "  </testsuite>\n</testsuites>\n"
}

/// A table for people, and the report below it.
pub fn markdown(command: &str, checked: &[Checked], report: &str) -> String {
    let mut text = format!("### netdrop run: `{}`\n\n", Plain(command).to_string().replace('`', "'"));
    if !checked.is_empty() {
        text += "| | must not happen | found |\n|---|---|---|\n";
        for one in checked {
            let mark = if one.failed { "❌" } else { "✅" };
            let _ = writeln!(text, "| {mark} | `{}` | {} |", cell(&one.text), cell(&one.why));
        }
        text.push('\n');
    }
    text + "```\n" + &report.replace("```", "'''") + "```\n"
}

fn cell(text: &str) -> String {
    Plain(text).to_string().replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn checked() -> [Checked; 2] {
        let one = |text: &str, failed, why: &str| Checked { text: text.into(), failed, why: why.into() };
        [
            one("class=congestion>10 || lost", true, "340 drops, class congestion"),
            one("rate>100/s", false, "4 drops (0.33/s)"),
        ]
    }

    #[test]
    fn for_ci() {
        assert_snapshot!(junit("sh -c \"a < b & c\u{7}\"", Duration::from_millis(12_345), &checked()), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="netdrop run" tests="2" failures="1" time="12.345">
          <testsuite name="sh -c &quot;a &lt; b &amp; c�&quot;" tests="2" failures="1" time="12.345" errors="0" skipped="0">
            <testcase classname="netdrop" name="not class=congestion&gt;10 || lost" time="12.345">
              <failure message="340 drops, class congestion"/>
            </testcase>
            <testcase classname="netdrop" name="not rate&gt;100/s" time="12.345">
              <system-out>4 drops (0.33/s)</system-out>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn for_people() {
        assert_snapshot!(markdown("./soak.sh", &checked(), "344 drops in 12.3 s\n"), @r"
        ### netdrop run: `./soak.sh`

        | | must not happen | found |
        |---|---|---|
        | ❌ | `class=congestion>10 \|\| lost` | 340 drops, class congestion |
        | ✅ | `rate>100/s` | 4 drops (0.33/s) |

        ```
        344 drops in 12.3 s
        ```
        ");
    }
}
