//! Load: clients in a closed loop, or calls at a steady pace; how many were answered, and how long each took.

use crate::figure::Sample;
use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How long a cell is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Load that is not counted.
    pub warm: Duration,
    /// Load that is.
    pub counted: Duration,
}

/// Something that a client does again and again; the number is never given twice.
pub trait Call: Send + Sync + 'static {
    /// Does it once.
    fn call(&self, number: u64) -> impl Future<Output = Result<()>> + Send;
}

/// The processor time that this process has used.
pub fn cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // Fields 14 and 15 of proc(5), in ticks of 10 ms.
    let ticks: u64 = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Tells how much processor time was used since it was made, in processors.
pub struct Cores {
    began: Instant,
    used: Duration,
}

impl Cores {
    /// Begins to count.
    pub fn begin() -> Result<Self> {
        Ok(Self { began: Instant::now(), used: cpu()? })
    }

    /// The processors that were busy since.
    pub fn busy(&self) -> Result<f64> {
        Ok((cpu()? - self.used).as_secs_f64() / self.began.elapsed().as_secs_f64())
    }
}

/// What the latencies, in nanoseconds, come to.
pub fn sample(latencies: impl IntoIterator<Item = u64>, took: Duration, cores: f64) -> Result<Sample> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1_000, 120_000_000_000, 3)?;
    latencies.into_iter().for_each(|nanos| histogram.saturating_record(nanos.max(1_000)));
    if histogram.is_empty() {
        bail!("nothing was answered");
    }
    let micros = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(Sample { rate: histogram.len() as f64 / took.as_secs_f64(), p50: micros(0.5), p99: micros(0.99), cores })
}

/// So many clients, each of which calls again when it has its answer.
pub async fn closed_loop<C: Call>(clients: usize, span: Span, call: &Arc<C>) -> Result<Sample> {
    // Connections are made before anything is timed.
    call.call(0).await?;
    let began = Instant::now() + span.warm;
    let ends = began + span.counted;
    let loops: Vec<_> = (0..clients as u64).map(|client| tokio::spawn(one_client(call.clone(), client, began, ends))).collect();
    tokio::time::sleep_until(began.into()).await;
    let cores = Cores::begin()?;
    tokio::time::sleep_until(ends.into()).await;
    let busy = cores.busy()?;
    let mut latencies = Vec::new();
    for one in loops {
        latencies.append(&mut one.await??);
    }
    sample(latencies, span.counted, busy)
}

async fn one_client<C: Call>(call: Arc<C>, client: u64, began: Instant, ends: Instant) -> Result<Vec<u64>> {
    let mut latencies = Vec::new();
    for number in 0.. {
        let asked = Instant::now();
        if asked >= ends {
            break;
        }
        call.call((client << 32) | number).await?;
        let answered = Instant::now();
        if answered >= began && answered < ends {
            latencies.push((answered - asked).as_nanos() as u64);
        }
    }
    Ok(latencies)
}

/// The most paced calls under way at once, since a server refuses thousands at once. Further calls wait at the client, and that wait counts
/// as their latency.
const MOST_AT_ONCE: usize = 1_000;

async fn due_call<C: Call>(call: Arc<C>, gate: Arc<Semaphore>, number: u64, due: Instant) -> Result<u64> {
    let _turn = gate.acquire().await?;
    call.call(number).await?;
    Ok(due.elapsed().as_nanos() as u64)
}

/// Calls at a steady pace, whether the earlier ones are answered or not. A call's latency runs from the moment at which it is due, so a
/// delay on this machine counts.
pub async fn paced<C: Call>(rate: f64, span: Span, call: &Arc<C>) -> Result<Sample> {
    call.call(0).await?;
    let gate = Arc::new(Semaphore::new(MOST_AT_ONCE));
    let (began, whole) = (Instant::now(), span.warm + span.counted);
    let mut calls = Vec::new();
    while began.elapsed() < whole {
        let due = |number: usize| began + Duration::from_secs_f64(number as f64 / rate);
        while due(calls.len()) <= Instant::now() {
            let number = calls.len();
            calls.push(tokio::spawn(due_call(call.clone(), gate.clone(), number as u64, due(number))));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let warm = (span.warm.as_secs_f64() * rate) as usize;
    let mut latencies = Vec::new();
    for (number, one) in calls.into_iter().enumerate() {
        let latency = one.await??;
        latencies.extend((number >= warm).then_some(latency));
    }
    sample(latencies, span.counted, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct AtOnce;

    impl Call for AtOnce {
        async fn call(&self, _: u64) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_paced_call_is_made_when_it_is_due() {
        let span = Span { warm: Duration::ZERO, counted: Duration::from_millis(500) };
        let sample = paced(10.0, span, &Arc::new(AtOnce)).await.expect("it is answered");
        // A call that was made only when the next one is due would take a tenth of a second.
        assert!((sample.rate, sample.p50 < 50_000.0) == (10.0, true), "{sample:?}");
    }
}
