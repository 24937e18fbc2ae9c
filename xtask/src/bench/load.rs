//! Two ways to load a server: as fast as it answers, and on a fixed schedule.
//!
//! The closed loop gives throughput and CPU per request. The open loop gives latency: each
//! request has a moment at which it is due, and its latency counts from that moment whether or
//! not the sender was late, so that a server that stalls is not measured less often while it
//! does (coordinated omission).

use std::{
    io, thread,
    time::{Duration, Instant},
};

use super::http::{Client, Target};

/// Requests of a warm-up, per connection.
const N_WARM_UP: usize = 50;
/// Most requests of one run, whatever its length in time.
const N_REQUESTS_MAX: usize = 2_000_000;

/// What a closed loop did.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    /// Requests answered.
    pub n_requests: usize,
    /// How long it took, in seconds.
    pub took_s: f64,
}

impl Throughput {
    /// Requests per second.
    pub fn per_s(self) -> f64 {
        self.n_requests as f64 / self.took_s
    }
}

/// Asks over `n_connections` at once, each again as soon as it was answered, for `length`.
///
/// # Errors
/// The first error of any request: there must be none.
pub fn closed(target: &Target, n_connections: usize, length: Duration) -> io::Result<Throughput> {
    let each_max = N_REQUESTS_MAX / n_connections;
    let counts = on_threads(n_connections, |_| {
        let mut client = Client::new(target.clone());
        client.ask()?;
        let start = Instant::now();
        let mut n = 0;
        while n < each_max && start.elapsed() < length {
            client.ask()?;
            n += 1;
        }
        Ok((n, start.elapsed()))
    })?;
    let took = counts.iter().map(|(_, took)| *took).max().unwrap_or_default();
    let n_requests = counts.iter().map(|(n, _)| n).sum();
    Ok(Throughput { n_requests, took_s: took.as_secs_f64() })
}

/// Latencies of an open loop, in microseconds, ascending.
#[derive(Clone, Debug)]
pub struct Latencies(Vec<f64>);

impl Latencies {
    /// Of measured times, in any order.
    pub fn new(mut us: Vec<f64>) -> Self {
        us.sort_by(f64::total_cmp);
        Self(us)
    }

    /// The smallest latency that at least the share `q` (0 to 1) of requests did not exceed
    /// (nearest rank); 0 where there are none.
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = (q * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.max(1) - 1).copied().unwrap_or(0.0)
    }
}

/// Asks `rate_per_s` times a second over `n_connections` for `length`.
///
/// # Errors
/// The first error of any request: there must be none.
pub fn open(
    target: &Target,
    n_connections: usize,
    rate_per_s: f64,
    length: Duration,
) -> io::Result<Latencies> {
    let n_all = (rate_per_s * length.as_secs_f64()) as usize;
    let n_all = n_all.clamp(n_connections, N_REQUESTS_MAX);
    let interval = Duration::from_secs_f64(1.0 / rate_per_s);
    let begin = Instant::now() + Duration::from_millis(200);
    let parts = on_threads(n_connections, |thread_idx| {
        let mut client = Client::new(target.clone());
        for _ in 0..N_WARM_UP.min(n_all / n_connections) {
            client.ask()?;
        }
        let mut latencies_us = Vec::with_capacity(n_all / n_connections + 1);
        for request_idx in (thread_idx..n_all).step_by(n_connections) {
            let due = begin + interval.mul_f64(request_idx as f64);
            if let Some(wait) = due.checked_duration_since(Instant::now()) {
                thread::sleep(wait);
            }
            client.ask()?;
            latencies_us.push(due.elapsed().as_secs_f64() * 1e6);
        }
        Ok(latencies_us)
    })?;
    Ok(Latencies::new(parts.concat()))
}

/// Runs `work` on `n` threads at once, with a timer that wakes them on time.
fn on_threads<T: Send>(
    n: usize,
    work: impl Fn(usize) -> io::Result<T> + Sync,
) -> io::Result<Vec<T>> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..n)
            .map(|idx| {
                scope.spawn(move || {
                    // Without it the kernel may wake a sleeper 50 us late; with it refused, the
                    // figures are only worse, and for every server alike.
                    let _ = rustix::thread::set_current_timer_slack(std::num::NonZero::new(1));
                    work(idx)
                })
            })
            .collect();
        let gone = |_| io::Error::other("a load thread died");
        threads.into_iter().map(|thread| thread.join().map_err(gone)?).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{SocketAddr, TcpListener},
    };

    use super::*;
    use crate::bench::http;

    /// A server that answers every read with `reply`, after `stall` once.
    fn server(reply: &'static [u8], stall: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                thread::spawn(move || {
                    let mut bytes = [0; 1024];
                    let mut n_reads = 0;
                    while stream.read(&mut bytes).is_ok_and(|n| 0 < n) {
                        n_reads += 1;
                        if n_reads == N_WARM_UP + 2 {
                            thread::sleep(stall);
                        }
                        if stream.write_all(reply).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        address
    }

    fn target(address: SocketAddr) -> Target {
        Target { address, tls: None, request: http::request("GET", "/", &[], b"") }
    }

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

    #[test]
    fn one_error_fails_the_run() {
        let bad = server(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", Duration::ZERO);
        assert!(closed(&target(bad), 2, Duration::from_millis(50)).is_err());
        let good = server(OK, Duration::ZERO);
        let throughput = closed(&target(good), 2, Duration::from_millis(50)).unwrap();
        assert!(0 < throughput.n_requests);
    }

    /// A stall of one reply delays those that were due behind it, and their latency says so.
    #[test]
    fn latency_counts_from_when_a_request_was_due() {
        let stalled = server(OK, Duration::from_millis(200));
        let latencies = open(&target(stalled), 1, 500.0, Duration::from_millis(400)).unwrap();
        let late = latencies.0.iter().filter(|us| **us > 50_000.0).count();
        assert!(50 < late, "only {late} of {} were late", latencies.0.len());
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let latencies = Latencies::new((1..=100).rev().map(f64::from).collect());
        assert_eq!(latencies.quantile(0.5), 50.0);
        assert_eq!(latencies.quantile(0.99), 99.0);
        assert_eq!(latencies.quantile(1.0), 100.0);
        assert_eq!(Latencies::new(Vec::new()).quantile(0.5), 0.0);
    }
}
