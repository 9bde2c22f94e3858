//! Source lines, looked up beside the event loop: the first of a compilation unit takes milliseconds.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use crate::kernel::debug_info::{DebugInfo, Frame};
use crate::kernel::symbols::Symbols;
use crate::model::Source;

/// A site, and its line where one is known.
pub type Answer = (u64, Option<Source>);

/// Asks debug information in a thread, for one site after another.
#[derive(Debug)]
pub struct LineReader {
    asks: Sender<(u64, Arc<Symbols>)>,
    answers: Receiver<Answer>,
    asked: HashSet<u64>,
}

impl LineReader {
    /// Starts the thread; it ends with this.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(mut info: DebugInfo) -> io::Result<Self> {
        let (asks, to_look_up) = channel::<(u64, Arc<Symbols>)>();
        let (answer, answers) = channel();
        thread::Builder::new().name("lines".into()).spawn(move || {
            for (site, symbols) in to_look_up {
                let source = source(&info.frames(&symbols, site));
                if answer.send((site, source)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { asks, answers, asked: HashSet::new() })
    }

    /// Asks for the line of a site, unless that has been done.
    pub fn ask(&mut self, site: u64, symbols: &Arc<Symbols>) {
        if self.asked.insert(site) {
            // That the thread has ended shows where its answers are taken.
            let _ = self.asks.send((site, Arc::clone(symbols)));
        }
    }

    /// Whether there are questions without an answer.
    pub fn is_reading(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The next answer that has come.
    pub fn poll(&mut self) -> Option<Answer> {
        let answer = match self.answers.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => (*self.asked.iter().next()?, None),
            Ok(answer) => answer,
        };
        self.asked.remove(&answer.0);
        Some(answer)
    }

    /// Waits for the next answer; `None` when there is no question.
    pub fn wait(&mut self) -> Option<Answer> {
        let asked = *self.asked.iter().next()?;
        // A thread that panicked knows no line.
        let answer = self.answers.recv().unwrap_or((asked, None));
        self.asked.remove(&answer.0);
        Some(answer)
    }
}

/// Inlined functions that do nothing but free what they are given: the line that calls them is where it was dropped
/// (kernel: include/linux/skbuff.h, `net/ipv4/tcp_input.c`).
const FREEING: [&str; 8] = [
    "kfree_skb",
    "kfree_skb_reason",
    "kfree_skb_list",
    "tcp_drop",
    "tcp_drop_reason",
    "skb_queue_purge",
    "__skb_queue_purge",
    "__skb_queue_purge_reason",
];

/// The innermost line that tells where, and the functions that were inlined on the way to it.
fn source(frames: &[Frame]) -> Option<Source> {
    let frees = |frame: &&Frame| {
        frame.inlined && frame.function.as_deref().is_some_and(|name| FREEING.contains(&name))
    };
    let frames = &frames[frames.iter().take_while(frees).count()..];
    let Frame { file: Some(file), line: Some(line), .. } = frames.first()? else { return None };
    let inlined = frames.iter().filter(|frame| frame.inlined);
    let inlined = inlined.filter_map(|frame| frame.function.as_deref().map(str::to_owned)).collect();
    Some(Source { line: format!("{file}:{line}"), inlined })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use object::{File, Object as _, ObjectSymbol as _};

    use super::*;

    fn frame(function: &str, file: Option<&str>, line: Option<u32>, inlined: bool) -> Frame {
        Frame { function: Some(function.into()), file: file.map(Into::into), line, inlined }
    }

    #[test]
    fn the_line_is_the_innermost_one() {
        let frames = [
            frame("udp_queue_rcv_skb", Some("net/ipv4/udp.c"), Some(2200), true),
            frame("__udp4_lib_rcv", Some("net/ipv4/udp.c"), Some(2432), false),
        ];
        let expected =
            Source { line: "net/ipv4/udp.c:2200".into(), inlined: vec!["udp_queue_rcv_skb".into()] };
        assert_eq!(source(&frames), Some(expected));
        assert_eq!(source(&frames[1..]).unwrap().inlined, [""; 0]);
    }

    #[test]
    fn what_only_frees_is_not_where_it_was_dropped() {
        let frames = [
            frame("kfree_skb_reason", Some("include/linux/skbuff.h"), Some(1260), true),
            frame("kfree_skb", Some("include/linux/skbuff.h"), Some(1252), true),
            frame("unix_stream_connect", Some("net/unix/af_unix.c"), Some(1622), false),
        ];
        let expected = Source { line: "net/unix/af_unix.c:1622".into(), inlined: vec![] };
        assert_eq!(source(&frames), Some(expected));
        // A function that stands on its own is where it happened, whatever it does.
        let own = [frame("tcp_drop_reason", Some("net/ipv4/tcp_input.c"), Some(4800), false)];
        assert_eq!(source(&own).unwrap().line, "net/ipv4/tcp_input.c:4800");
    }

    /// Asks as a run does, of the fixture's kernel, which runs where it was linked to.
    #[test]
    fn a_line_is_looked_up_once_a_site() {
        let root = tempfile::tempdir().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/debug_info/vmlinux");
        let bytes = fs::read(&file).unwrap();
        let elf = File::parse(&*bytes).unwrap();
        // ELF's note: lengths of name and description, its type, the name (include/uapi/linux/elf.h).
        let build = elf.build_id().unwrap().unwrap();
        let note = [&[4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0], &b"GNU\0"[..], build].concat();
        fs::create_dir_all(root.path().join("sys/kernel")).unwrap();
        fs::write(root.path().join("sys/kernel/notes"), note).unwrap();
        let info = DebugInfo::find(root.path(), "6.1.0-t", Some(&file)).unwrap();

        let (sites, functions): (Vec<_>, Vec<_>) = elf
            .symbols()
            .map(|symbol| (symbol.name().unwrap(), symbol.address()))
            .filter(|(name, address)| !name.is_empty() && *address > 0)
            .partition(|(name, _)| name.starts_with("site_"));
        let lines: Vec<_> =
            functions.iter().map(|(name, address)| format!("{address:x} T {name}\n")).collect();
        let symbols = Arc::new(Symbols::read(lines.concat().as_bytes()).unwrap());
        let site = |name| sites.iter().find(|(site, _)| *site == name).unwrap().1;

        let mut reader = LineReader::start(info).unwrap();
        for name in ["site_inlined", "site_inlined", "site_plain"] {
            reader.ask(site(name), &symbols);
        }
        let (inlined, plain) = (reader.wait().unwrap(), reader.wait().unwrap());
        assert_eq!(reader.wait(), None);
        let source = |line: &str, inlined: &[&str]| {
            let inlined = inlined.iter().map(ToString::to_string).collect();
            Some(Source { line: line.into(), inlined })
        };
        assert_eq!(inlined, (site("site_inlined"), source("include/net/check.h:6", &["check"])));
        assert_eq!(plain, (site("site_plain"), source("net/ipv4/drop.c:7", &[])));
    }

    #[test]
    fn half_a_line_is_none() {
        assert_eq!(source(&[frame("f", None, Some(1), false)]), None);
        assert_eq!(source(&[frame("f", Some("f.c"), None, false)]), None);
        assert_eq!(source(&[]), None);
    }

    #[test]
    fn a_thread_that_is_gone_knows_nothing() {
        let (asks, _) = channel();
        let (_, answers) = channel();
        let mut reader = LineReader { asks, answers, asked: HashSet::new() };
        let symbols = Arc::new(Symbols::read(&b"ffffffff81000000 T icmp_rcv\n"[..]).unwrap());
        reader.ask(1, &symbols);
        reader.ask(1, &symbols);
        assert!(reader.is_reading());
        assert_eq!(reader.poll(), Some((1, None)));
        assert!(!reader.is_reading() && reader.poll().is_none() && reader.wait().is_none());
        reader.ask(2, &symbols);
        assert_eq!(reader.wait(), Some((2, None)));
    }
}
