//! What the program itself logs (aya-log), for those who look for a fault in it.

use aya_log::EbpfLogger;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use super::ProbeError;

/// Passes the log on until it's dropped.
#[derive(Debug)]
pub struct Log(JoinHandle<()>);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Follows the log of the program with this id; its lines go where netdrop's own go.
pub fn follow(program_id: u32) -> Result<Log, ProbeError> {
    let failed = |error| ProbeError::Read { what: "the program's log", error };
    let logger =
        EbpfLogger::init_from_id(program_id).map_err(|error| failed(std::io::Error::other(error)))?;
    // SAFETY: the logger's descriptor stays the same and open as long as the logger, which the AsyncFd owns.
    let mut logger = unsafe { AsyncFd::register(logger) }.map_err(|error| failed(error.into()))?;
    Ok(Log(tokio::spawn(async move {
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    })))
}
