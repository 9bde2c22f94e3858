//! The same work for many things, some at a time.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

/// Does `work` for each, by up to so many threads, which are the caller's in all that threads inherit (network namespace, sandbox). What comes of it,
/// in order. A thread that panics takes the caller along.
pub fn concurrently<T: Sync, R: Send>(all: &[T], at_a_time: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = at_a_time.min(all.len());
    if threads <= 1 {
        return all.iter().map(work).collect();
    }
    let next = Mutex::new(all.iter().enumerate());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let some = || std::iter::from_fn(take).map(|(index, one)| (index, work(one))).collect::<Vec<_>>();
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        // The caller's own thread works too.
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(some)).collect();
        let own = some();
        let joined = |other: thread::ScopedJoinHandle<'_, Vec<(usize, R)>>| {
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        own.into_iter().chain(others.into_iter().flat_map(joined)).collect()
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[rstest::rstest]
    #[case::none(0, 4)]
    #[case::one_by_one(5, 1)]
    #[case::some_at_a_time(50, 4)]
    #[case::more_threads_than_work(2, 9)]
    fn everything_is_done_once_and_in_order(#[case] count: u32, #[case] at_a_time: usize) {
        let all: Vec<u32> = (0..count).collect();
        assert_eq!(
            concurrently(&all, at_a_time, |one| one * 2),
            all.iter().map(|one| one * 2).collect::<Vec<_>>()
        );
    }

    #[test]
    fn waiting_does_not_add_up() {
        let start = Instant::now();
        concurrently(&[(); 8], 8, |()| thread::sleep(Duration::from_millis(50)));
        assert!(start.elapsed() < Duration::from_millis(200));
    }
}
