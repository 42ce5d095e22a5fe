//! Limits how many requests are taken at once, to as many as the node answers in time.
//!
//! Beyond what a node can do, one more request at once makes nothing faster and everybody wait longer. So the limit follows the measured
//! answer times, as TCP's window does (additive increase, multiplicative decrease): each answer in time raises it by one while it is used,
//! each late one takes a part of it away. A request beyond the limit is answered 503 before anything is done.
//!
//! Who sends slowly, who waits on purpose and who is worked for stand in three pools, so that none of them takes the places of another.

use super::{
    EdgeConfig,
    intake::Intake,
    pool::{CallerKey, Places, Pool},
};
use crate::Problem;
use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use prometheus::{IntCounter, IntCounterVec, IntGauge, register_int_counter, register_int_counter_vec, register_int_gauge};
use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};
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

static FULL: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let says = "What was refused because a pool was full, or its caller's share of it: connections, bodies, waiters";
    register_int_counter_vec!("daybook_http_full_total", says, &["pool"]).expect("registered once")
});

static LIMIT: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("daybook_http_limit", "How many requests are taken at once, those that wait on purpose aside")
        .expect("registered once")
});

/// Counts what a full pool refuses, and says so.
pub(super) fn full(pool: &str, detail: &str) -> Problem {
    FULL.with_label_values(&[pool]).inc();
    Problem::unavailable(detail, RETRY_AFTER)
}

/// Decides which requests are taken.
pub(super) struct Admission {
    config: EdgeConfig,
    intake: Intake,
    waiters: Pool,
    work: Pool,
    limit: Aimd,
}

impl Admission {
    pub fn new(config: EdgeConfig) -> Self {
        let least = LEAST.min(config.concurrency);
        let limit = Aimd::builder().min_limit(least).max_limit(config.concurrency).initial_limit(FIRST);
        let limit = limit.increase_by(1).decrease_factor(LATE_LEAVES).latency_threshold(config.answer_within).build();
        let limit = limit.expect("the least is at most the most, and the factor is a part of one");
        Self { config, intake: Intake::new(config), waiters: Pool::new(), work: Pool::new(), limit }
    }

    /// Takes one more request, if the limit and the caller's share of it allow that; each that is taken must [leave](Self::leave).
    fn enter(&self, caller: CallerKey) -> bool {
        let limit = self.limit.limit();
        LIMIT.set(limit as i64);
        self.work.enter(limit, caller)
    }

    /// Ends a request whose answer took so long. An answer in time counts only where at least half of the limit was in use.
    fn leave(&self, caller: CallerKey, took: Duration) {
        let inside = self.work.leave(caller);
        let near = inside * 2 >= self.limit.limit();
        if near || took > self.config.answer_within {
            self.limit.record_success(took);
        }
    }

    /// Whether the request would be taken if it were whole.
    fn has_room(&self, caller: CallerKey, waits: bool) -> Result<(), Problem> {
        match waits {
            true if self.waiters.has_room(self.config.waiters, caller) => Ok(()),
            true => Err(too_many_waiters()),
            false if self.work.has_room(self.limit.limit(), caller) => Ok(()),
            false => Err(shed()),
        }
    }
}

fn shed() -> Problem {
    SHED.inc();
    Problem::unavailable("there are more requests than can be answered in time", RETRY_AFTER)
}

fn too_many_waiters() -> Problem {
    full("waiters", "the server has as many requests that wait as it can hold")
}

/// A request that was taken, until it is answered or given up (dropped).
struct Place<'a> {
    admission: &'a Admission,
    caller: CallerKey,
    begun: Instant,
}

impl<'a> Place<'a> {
    fn of(admission: &'a Admission, caller: CallerKey) -> Option<Self> {
        admission.enter(caller).then(|| Self { admission, caller, begun: Instant::now() })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.admission.leave(self.caller, self.begun.elapsed());
    }
}

/// Answers in time. Where that is not possible, a GET was not done (503), and of a POST nobody knows (504).
pub(super) async fn admit(State(admission): State<Arc<Admission>>, request: Request, next: Next) -> Response {
    let reads = request.method().is_safe();
    let late = || {
        let problem = if reads { Problem::unavailable("no answer in time", RETRY_AFTER) } else { Problem::unknown("no answer in time") };
        problem.into_response()
    };
    let answer = taken(&admission, request, next);
    tokio::time::timeout(admission.config.request_timeout, answer).await.unwrap_or_else(|_| late())
}

/// Takes a request once its body is read. The answer's time is measured from then on: how slowly a caller sends is no sign of our load.
async fn taken(admission: &Admission, request: Request, next: Next) -> Response {
    let (caller, waits) = (CallerKey::of(&request), waits_on_purpose(&request));
    let request = match admission.has_room(caller, waits) {
        Ok(()) => admission.intake.whole(caller, request).await,
        Err(problem) => Err(problem),
    };
    match request {
        Ok(request) if waits => match Places::one(&admission.waiters, admission.config.waiters, caller) {
            Some(_place) => next.run(request).await,
            None => too_many_waiters().into_response(),
        },
        Ok(request) => match Place::of(admission, caller) {
            Some(_place) => next.run(request).await,
            None => shed().into_response(),
        },
        Err(problem) => problem.into_response(),
    }
}

/// Whether the answer waits on purpose (for a position, or for a strong read), so that its time is no sign of load.
fn waits_on_purpose(request: &Request) -> bool {
    let strong = || request.uri().query().is_some_and(|query| query.contains("consistency=strong"));
    [Method::GET, Method::HEAD].contains(request.method()) && (request.headers().contains_key("daybook-at-least") || strong())
}

#[cfg(test)]
mod tests {
    use super::{Admission, CallerKey, admit, waits_on_purpose};
    use crate::edge::EdgeConfig;
    use axum::{Router, body::Body, extract::Request, middleware::from_fn_with_state, routing::get};
    use futures::{FutureExt, poll};
    use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};
    use tower::ServiceExt;

    const DESKS: usize = 10;
    /// Microseconds that a desk needs for one request: all together can do 1,000 a second.
    const WORK: u64 = 10_000;

    fn someone() -> CallerKey {
        CallerKey::at([127, 0, 0, 1].into())
    }

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
                match self.admission.enter(someone()) {
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
                self.admission.leave(someone(), Duration::from_micros(at - came));
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
        let config = EdgeConfig { waiters: 1, ..EdgeConfig::default() };
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
