//! What others have named, as words of a POSIX shell's commands (POSIX.1-2024, Shell Command Language, 2.2 Quoting).
//!
//! A device's name may be `$(reboot)` (`dev_valid_name`, `net/core/dev.c`, forbids `/`, `:` and white space alone), a namespace's file may have any.

use std::borrow::Cow;
use std::fmt::Display;

/// One word that means itself: as it is where no shell reads more into it, else between single quotes.
pub fn shell(text: &str) -> Cow<'_, str> {
    // A `!` that stands alone is an argument like others, but for a command's first word (2.4 Reserved Words).
    if !text.is_empty() && text.bytes().all(is_plain) || text == "!" {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_./:@%+=,-".contains(&byte)
}

/// `KEY=VALUE` for sysctl(8), as one word: numbers stand as they are, several in double quotes.
pub fn setting(key: &str, value: &dyn Display) -> String {
    let (key, value) = (shell(key), value.to_string());
    let are_plain = value.contains(' ') && value.bytes().all(|byte| byte == b' ' || is_plain(byte));
    if are_plain { format!("{key}=\"{value}\"") } else { format!("{key}={}", shell(&value)) }
}

#[cfg(test)]
pub mod made {
    use std::process::Command;

    /// What the host's own shell prints, which has the last word on quotes.
    pub fn printed(script: &str) -> String {
        let output = Command::new("sh").args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The words that a program gets by a command which calls it first.
    pub fn arguments(program: &str, command: &str) -> Vec<String> {
        let told = printed(&format!("{program}() {{ command printf '%s\\0' \"$@\"; }}\n{command}"));
        told.split_terminator('\0').map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[rstest::rstest]
    #[case("eth0.7@if3", "eth0.7@if3")]
    #[case("RELATED,ESTABLISHED", "RELATED,ESTABLISHED")]
    #[case("!", "!")]
    #[case("", "''")]
    #[case("$(id)", "'$(id)'")]
    #[case("don't", r"'don'\''t'")]
    #[case(r"my\x2dapp.slice", r"'my\x2dapp.slice'")]
    #[case("~", "'~'")]
    fn a_word(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shell(text), expected);
    }

    #[rstest::rstest]
    #[case("net.core.somaxconn", "512", "net.core.somaxconn=512")]
    #[case("net.ipv4.tcp_rmem", "4096 131072", "net.ipv4.tcp_rmem=\"4096 131072\"")]
    #[case("net.ipv4.conf.$(id).forwarding", "$(id) 1", "'net.ipv4.conf.$(id).forwarding'='$(id) 1'")]
    fn a_setting(#[case] key: &str, #[case] value: &str, #[case] expected: &str) {
        assert_eq!(setting(key, &value), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_gives_it_back(words in prop::collection::vec("[^\0]{0,12}", 1..4)) {
            let quoted: Vec<_> = words.iter().map(|word| shell(word)).collect();
            prop_assert_eq!(made::arguments("told", &format!("told {}", quoted.join(" "))), words);
        }
    }
}
