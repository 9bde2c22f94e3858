//! Where bytes go. A thread of its own writes them, so that a consumer that doesn't read never holds up the rest:
//! then there is no room, the ring buffer isn't drained, and the kernel counts what it can't place.

use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::output::Destination;

/// Chunks under way to the writer.
const CHUNKS: usize = 4;

/// What became of the output.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The reader went away: no failure.
    #[error("the reader of the output has gone")]
    Closed,
    /// It can't be written.
    #[error("{0}")]
    Write(io::Error),
    /// It isn't being read.
    #[error("the output is blocked: its reader has not read for {} s", .0.as_secs())]
    Blocked(Duration),
}

/// The writer's end for the rest.
#[derive(Debug)]
pub struct Sink {
    chunks: Option<mpsc::Sender<Vec<u8>>>,
    empty: mpsc::UnboundedReceiver<Vec<u8>>,
    failed: oneshot::Receiver<io::Error>,
    finished: oneshot::Receiver<()>,
}

impl Sink {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(mut output: impl Destination + 'static) -> io::Result<Self> {
        let (chunks, mut to_write) = mpsc::channel::<Vec<u8>>(CHUNKS);
        let (give_back, empty) = mpsc::unbounded_channel();
        let (fail, failed) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        std::thread::Builder::new().name("output".into()).spawn(move || {
            while let Some(mut chunk) = to_write.blocking_recv() {
                if let Err(error) = output.write_all(&chunk).and_then(|()| output.flush()) {
                    let _ = fail.send(error);
                    return;
                }
                chunk.clear();
                let _ = give_back.send(chunk);
            }
            match output.finish() {
                Ok(()) => _ = finish.send(()),
                Err(error) => _ = fail.send(error),
            }
        })?;
        Ok(Self { chunks: Some(chunks), empty, failed, finished })
    }

    /// Waits until there is room for another chunk.
    ///
    /// # Errors
    /// When the writer has failed.
    pub async fn room(&mut self) -> Result<(), SinkError> {
        let Some(chunks) = &self.chunks else { return Err(SinkError::Closed) };
        let closed = chunks.reserve().await.is_err();
        if closed { Err(self.failure()) } else { Ok(()) }
    }

    /// Whether there is room now.
    pub fn has_room(&self) -> bool {
        self.chunks.as_ref().is_some_and(|chunks| chunks.capacity() > 0)
    }

    /// Hands over `chunk`, which must find room, and leaves an empty one in its place.
    ///
    /// # Errors
    /// When the writer has failed.
    pub fn send(&mut self, chunk: &mut Vec<u8>) -> Result<(), SinkError> {
        if chunk.is_empty() {
            return Ok(());
        }
        let empty = self.empty.try_recv().unwrap_or_default();
        let full = std::mem::replace(chunk, empty);
        let sent = self.chunks.as_ref().is_some_and(|chunks| chunks.try_send(full).is_ok());
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Waits until all is written, as long as there is progress at least every `patience`.
    ///
    /// # Errors
    /// When it couldn't be.
    pub async fn finish(&mut self, patience: Duration) -> Result<(), SinkError> {
        self.chunks = None;
        loop {
            tokio::select! {
                finished = &mut self.finished => return finished.map_err(|_| self.failure()),
                progress = timeout(patience, self.empty.recv()) => match progress {
                    Err(_) => return Err(SinkError::Blocked(patience)),
                    Ok(Some(_)) => {}
                    // The thread has ended: `finished` tells how.
                    Ok(None) => return (&mut self.finished).await.map_err(|_| self.failure()),
                },
            }
        }
    }

    fn failure(&mut self) -> SinkError {
        match self.failed.try_recv() {
            Ok(error) if error.kind() == io::ErrorKind::BrokenPipe => SinkError::Closed,
            Ok(error) => SinkError::Write(error),
            Err(_) => SinkError::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Destination for Shared {}

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Fails(io::ErrorKind);

    impl Destination for Fails {}

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Never written to until the other end is dropped.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl Destination for Stuck {}

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn everything_sent_is_written_in_order() {
        let shared = Shared::default();
        let mut sink = Sink::start(shared.clone()).unwrap();
        let lines: Vec<String> = (0..100).map(|number| format!("{number}\n")).collect();
        for line in &lines {
            sink.room().await.unwrap();
            sink.send(&mut line.clone().into_bytes()).unwrap();
        }
        sink.finish(Duration::from_mins(1)).await.unwrap();
        assert_eq!(String::from_utf8(shared.0.lock().unwrap().clone()).unwrap(), lines.concat());
    }

    #[tokio::test]
    async fn a_closed_pipe_is_told_from_a_full_disk() {
        for (kind, closed) in [(io::ErrorKind::BrokenPipe, true), (io::ErrorKind::StorageFull, false)] {
            let mut sink = Sink::start(Fails(kind)).unwrap();
            sink.send(&mut b"x".to_vec()).unwrap();
            let error = sink.finish(Duration::from_mins(1)).await.unwrap_err();
            assert_eq!(matches!(error, SinkError::Closed), closed, "{error:?}");
            assert_eq!(matches!(error, SinkError::Write(_)), !closed, "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_stuck_reader_takes_the_room_and_then_the_patience() {
        let (free, stuck) = std::sync::mpsc::channel();
        let mut sink = Sink::start(Stuck(stuck)).unwrap();
        // One chunk is with the writer, the others wait.
        for _ in 0..=CHUNKS {
            sink.room().await.unwrap();
            sink.send(&mut b"x".to_vec()).unwrap();
            tokio::task::yield_now().await;
        }
        assert!(timeout(PATIENCE, sink.room()).await.is_err());
        assert!(!sink.has_room());
        assert!(matches!(sink.finish(PATIENCE).await, Err(SinkError::Blocked(_))));
        drop(free);
    }
}
