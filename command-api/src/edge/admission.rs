//! Limits how many requests are taken at once, to as many as the node answers in time.
//!
//! Beyond what a node can do, one more request at once makes nothing faster and everybody wait longer. So the limit follows the measured
//! answer times, as TCP's window does (additive increase, multiplicative decrease): each answer in time raises it by one while it is used,
//! each late one takes a part of it away. A request beyond the limit is answered 503 before anything is read or done.

use super::{EdgeConfig, intake};
use crate::Problem;
use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use prometheus::{IntCounter, IntGauge, register_int_counter, register_int_gauge};
use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tower_resilience_adaptive::{Aimd, ConcurrencyAlgorithm};

/// The lowest limit, however late the answers are: a log that is slow by nature must not stop the node.
const LEAST: usize = 64;
/// The part of the limit that a late answer leaves.
const LATE_LEAVES: f64 = 0.9;
/// The limit before anything was measured.
const FIRST: usize = 256;

/// How long a shed request should wait before it is sent again, in milliseconds.
const RETRY_AFTER: u64 = 1000;

static SHED: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!("daybook_http_shed_total", "Requests answered 503 because others were answered late").expect("registered once")
});

static LIMIT: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("daybook_http_limit", "How many requests are taken at once, those that wait on purpose aside")
        .expect("registered once")
});

/// Decides which requests are taken.
pub(super) struct Admission {
    config: EdgeConfig,
    /// One permit for each request in progress, those that wait on purpose included.
    places: Semaphore,
    limit: Aimd,
    inside: AtomicUsize,
}

impl Admission {
    pub fn new(config: EdgeConfig) -> Self {
        let least = LEAST.min(config.concurrency);
        let limit = Aimd::builder().min_limit(least).max_limit(config.concurrency).initial_limit(FIRST);
        let limit = limit.increase_by(1).decrease_factor(LATE_LEAVES).latency_threshold(config.answer_within).build();
        let limit = limit.expect("the least is at most the most, and the factor is a part of one");
        Self { config, places: Semaphore::new(config.concurrency), limit, inside: AtomicUsize::new(0) }
    }

    /// Takes one more request, if the limit allows it; each that is taken must [leave](Self::leave).
    fn enter(&self) -> bool {
        let limit = self.limit.limit();
        LIMIT.set(limit as i64);
        let enters = self.inside.fetch_add(1, Ordering::Relaxed) < limit;
        if !enters {
            self.inside.fetch_sub(1, Ordering::Relaxed);
        }
        enters
    }

    /// Ends a request whose answer took so long; none where it was never begun. An answer in time counts only where at least half of the
    /// limit was in use.
    fn leave(&self, took: Option<Duration>) {
        let inside = self.inside.fetch_sub(1, Ordering::Relaxed);
        let near = inside * 2 >= self.limit.limit();
        if let Some(took) = took.filter(|took| near || *took > self.config.answer_within) {
            self.limit.record_success(took);
        }
    }
}

/// A request that was taken, until it is answered or given up (dropped).
struct Place {
    admission: Arc<Admission>,
    begun: Option<Instant>,
}

impl Place {
    fn of(admission: &Arc<Admission>) -> Option<Self> {
        admission.enter().then(|| Self { admission: admission.clone(), begun: None })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.leave(self.begun.map(|begun| begun.elapsed()));
    }
}

/// Answers in time, or answers that the outcome is unknown.
pub(super) async fn admit(State(admission): State<Arc<Admission>>, request: Request, next: Next) -> Response {
    let late = || {
        let detail = "no answer in time: the outcome is unknown; send the same request with the same Idempotency-Key again to learn it";
        Problem::unavailable(detail, RETRY_AFTER).into_response()
    };
    tokio::time::timeout(admission.config.request_timeout, taken(&admission, request, next)).await.unwrap_or_else(|_| late())
}

/// Takes a request where there is a place, and reads its body first. The answer's time is measured from then on: how slowly a caller sends
/// is no sign of our load.
async fn taken(admission: &Arc<Admission>, request: Request, next: Next) -> Response {
    let Ok(_one_of_all) = admission.places.try_acquire() else {
        return Problem::unavailable("the server has as many requests as it can take", RETRY_AFTER).into_response();
    };
    let waits = waits_on_purpose(&request);
    let place = if waits { None } else { Place::of(admission) };
    if !waits && place.is_none() {
        SHED.inc();
        return Problem::unavailable("there are more requests than can be answered in time", RETRY_AFTER).into_response();
    }
    match intake::whole(admission.config, request).await {
        Ok(request) => timed(place, next.run(request)).await,
        Err(problem) => problem.into_response(),
    }
}

async fn timed(mut place: Option<Place>, answer: impl Future<Output = Response>) -> Response {
    if let Some(place) = &mut place {
        place.begun = Some(Instant::now());
    }
    answer.await
}

/// Whether the answer waits on purpose (for a position, or for a strong read), so that its time is no sign of load.
fn waits_on_purpose(request: &Request) -> bool {
    let strong = || request.uri().query().is_some_and(|query| query.contains("consistency=strong"));
    request.method() == Method::GET && (request.headers().contains_key("daybook-at-least") || strong())
}

#[cfg(test)]
mod tests {
    use super::{Admission, admit, waits_on_purpose};
    use crate::edge::EdgeConfig;
    use axum::{Router, body::Body, extract::Request, middleware::from_fn_with_state, routing::get};
    use futures::{FutureExt, poll};
    use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};
    use tower::ServiceExt;

    const DESKS: usize = 10;
    /// Microseconds that a desk needs for one request: all together can do 1,000 a second.
    const WORK: u64 = 10_000;

    /// A simulated server that serves the requests it takes in order.
    struct Server {
        admission: Admission,
        /// When each desk will be free.
        desks: BinaryHeap<Reverse<u64>>,
        /// For each request inside, when it leaves and when it came; the first to leave is on top.
        inside: BinaryHeap<Reverse<(u64, u64)>>,
        now: u64,
    }

    impl Server {
        fn open() -> Self {
            let desks = (0..DESKS).map(|_| Reverse(0)).collect();
            Self { admission: Admission::new(EdgeConfig::default()), desks, inside: BinaryHeap::new(), now: 0 }
        }

        /// Offers so many requests a second; answers how long the taken ones took, in order, and how many were shed.
        fn offer(&mut self, per_second: u64, seconds: u64) -> (Vec<Duration>, usize) {
            let (mut took, mut shed) = (Vec::new(), 0);
            for _ in 0..per_second * seconds {
                self.now += 1_000_000 / per_second;
                self.let_out();
                match self.admission.enter() {
                    true => took.push(self.take()),
                    false => shed += 1,
                }
            }
            took.sort();
            (took, shed)
        }

        fn let_out(&mut self) {
            while let Some(Reverse((at, came))) = self.inside.peek().copied().filter(|Reverse((at, _))| *at <= self.now) {
                self.inside.pop();
                self.admission.leave(Some(Duration::from_micros(at - came)));
            }
        }

        fn take(&mut self) -> Duration {
            let Reverse(free) = self.desks.pop().unwrap();
            let done = free.max(self.now) + WORK;
            self.desks.push(Reverse(done));
            self.inside.push(Reverse((done, self.now)));
            Duration::from_micros(done - self.now)
        }
    }

    #[test]
    fn only_a_get_that_asks_to_wait_waits_on_purpose() {
        let request = |method: &str, uri: &str, header: &str| {
            Request::builder().method(method).uri(uri).header(header, "users/0/1").body(Body::empty()).unwrap()
        };
        assert!(waits_on_purpose(&request("GET", "/users/1", "daybook-at-least")));
        assert!(waits_on_purpose(&request("GET", "/users/1?consistency=strong", "accept")));
        for (method, uri, header) in
            [("GET", "/users/1", "accept"), ("POST", "/users", "daybook-at-least"), ("POST", "/users?consistency=strong", "accept")]
        {
            assert!(!waits_on_purpose(&request(method, uri, header)), "{method} {uri} with {header}");
        }
    }

    #[tokio::test]
    async fn those_that_wait_on_purpose_are_bounded_too() {
        let config = EdgeConfig { concurrency: 1, ..EdgeConfig::default() };
        let admission = from_fn_with_state(Arc::new(Admission::new(config)), admit);
        let app = Router::new().route("/users/1", get(std::future::pending::<()>)).layer(admission);
        let waiting = || {
            let request = Request::get("/users/1").header("daybook-at-least", "users/0/1").body(Body::empty()).unwrap();
            app.clone().oneshot(request)
        };
        let mut first = Box::pin(waiting());
        assert!(poll!(&mut first).is_pending());
        let second = waiting().now_or_never().expect("it is told at once");
        assert_eq!(second.unwrap().status(), 503);
        drop(first);
        assert!(poll!(Box::pin(waiting())).is_pending());
    }

    fn at(took: &[Duration], part: f64) -> Duration {
        took[(took.len() as f64 * part) as usize]
    }

    #[test]
    fn within_what_it_can_do_nothing_is_shed() {
        let (took, shed) = Server::open().offer(990, 10);
        assert_eq!((took.len(), shed), (9_900, 0));
        assert_eq!(took[9_899], Duration::from_micros(WORK));
    }

    #[test]
    fn past_it_what_is_taken_is_answered_in_time_at_full_speed_and_it_recovers() {
        let mut server = Server::open();
        for _ in 0..3 {
            let (took, shed) = server.offer(3_000, 20);
            assert!(took.len() > 19_000, "of 20,000 that could be done only {} were", took.len());
            assert!(shed > 39_000, "{shed} were shed");
            let (half, most) = (at(&took, 0.5), at(&took, 0.99));
            assert!(half < Duration::from_millis(150) && most < Duration::from_millis(250), "p50 {half:?}, p99 {most:?}");
            server.offer(900, 1);
            let (took, shed) = server.offer(900, 5);
            assert_eq!((took.len(), shed, at(&took, 0.99)), (4_500, 0, Duration::from_micros(WORK)));
        }
    }
}
