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

/// The innermost line, and the functions that were inlined on the way to it.
fn source(frames: &[Frame]) -> Option<Source> {
    let Frame { file: Some(file), line: Some(line), .. } = frames.first()? else { return None };
    let inlined = frames.iter().filter(|frame| frame.inlined);
    let inlined = inlined.filter_map(|frame| frame.function.as_deref().map(str::to_owned)).collect();
    Some(Source { line: format!("{file}:{line}"), inlined })
}

#[cfg(test)]
mod tests {
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
