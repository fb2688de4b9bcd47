//! The state of the processing elements, kept relative to the chunks that they receive.

/// Which elements of a grid receive their chunks together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sync {
    /// Each on its own.
    Each,
    /// Those of an outer line.
    Line,
    /// All.
    All,
}

/// A grid of `outer` × `inner` elements.
///
/// Of each element only its *backlog* is kept, `done(i) − sent(i)`: it grows by the cycles of a
/// chunk and shrinks by the time until the next one is sent. No chunk is sent before its group has
/// finished the one `lookahead` places before, hence a backlog is at most `lookahead` times the
/// cycles of a chunk.
#[derive(Clone, Default, Debug)]
pub(super) struct Grid {
    inner: usize,
    backlog: Vec<u16>,
    /// By sync unit (element or line): when its last chunk was sent, and how long before the next.
    sent: Vec<u64>,
    elapsed: Vec<u16>,
    slowest: Vec<u16>,
    /// When the slowest member of a unit finished each of the last `lookahead` chunks.
    finished: Vec<u64>,
    slot: usize,
    started: bool,
}

impl Grid {
    /// An idle grid.
    pub(super) fn reset(&mut self, outer: usize, inner: usize, sync: Sync, lookahead: usize) {
        let units = if sync == Sync::Each { outer * inner } else { outer };
        self.inner = inner;
        for (state, len) in [
            (&mut self.backlog, outer * inner),
            (&mut self.elapsed, units),
            (&mut self.slowest, units),
        ] {
            state.clear();
            state.resize(len, 0);
        }
        for (times, len) in [(&mut self.sent, units), (&mut self.finished, units * lookahead)] {
            times.clear();
            times.resize(len, 0);
        }
        self.slot = 0;
        self.started = false;
    }

    /// Sends one chunk that occupies the elements for `costs` cycles, outer line by outer line.
    pub(super) fn send(&mut self, costs: &[u16], sync: Sync, interval: u64) {
        let units = self.sent.len();
        // The first chunk is sent at once.
        let interval = if self.started { interval } else { 0 };
        self.started = true;
        let finished = &mut self.finished[self.slot * units..][..units];
        for ((sent, elapsed), &finished) in
            self.sent.iter_mut().zip(&mut self.elapsed).zip(&*finished)
        {
            let next = sent.saturating_add(interval).max(finished);
            *elapsed = u16::try_from(next - *sent).unwrap_or(u16::MAX);
            *sent = next;
        }
        if sync == Sync::Each {
            let elements = self.backlog.iter_mut().zip(costs).zip(&self.elapsed);
            for (((backlog, &cost), &elapsed), slowest) in elements.zip(&mut self.slowest) {
                *backlog = backlog.saturating_sub(elapsed) + cost;
                *slowest = *backlog;
            }
        } else {
            let lines =
                self.backlog.chunks_exact_mut(self.inner).zip(costs.chunks_exact(self.inner));
            for ((backlog, costs), (&elapsed, slowest)) in
                lines.zip(self.elapsed.iter().zip(&mut self.slowest))
            {
                *slowest = receive(backlog, costs, elapsed);
            }
        }
        if sync == Sync::All {
            let slowest = self.slowest.iter().copied().max().unwrap_or(0);
            self.slowest.fill(slowest);
        }
        for ((finished, &sent), &slowest) in finished.iter_mut().zip(&self.sent).zip(&self.slowest)
        {
            *finished = sent + u64::from(slowest);
        }
        self.slot = if (self.slot + 1) * units == self.finished.len() { 0 } else { self.slot + 1 };
    }

    /// When the last element is done.
    pub(super) fn done(&self) -> u64 {
        let ends = self.sent.iter().zip(&self.slowest);
        ends.map(|(&sent, &slowest)| sent + u64::from(slowest)).max().unwrap_or(0)
    }
}

/// One chunk for one line: `backlog ← max(backlog − elapsed, 0) + cost`; returns the largest.
fn receive(backlog: &mut [u16], costs: &[u16], elapsed: u16) -> u16 {
    let mut slowest = 0;
    for (backlog, &cost) in backlog.iter_mut().zip(costs) {
        *backlog = backlog.saturating_sub(elapsed) + cost;
        slowest = (*backlog).max(slowest);
    }
    slowest
}
