//! The state of the processing elements, kept relative to the chunks that they receive.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

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
    /// Outer line by outer line.
    backlog: Vec<u16>,
    /// By sync unit (element, line or grid): when its last chunk was sent, and how long before the
    /// next.
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
        let units = match sync {
            Sync::Each => outer * inner,
            Sync::Line => outer,
            Sync::All => 1,
        };
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
    #[inline(always)]
    pub(super) fn send(&mut self, costs: &[u16], interval: u64) {
        if self.sent.len() < self.backlog.len() {
            let line = self.backlog.len() / self.sent.len();
            return self.send_to_units(interval, |unit, backlog, elapsed| {
                receive(backlog, &costs[unit * line..][..line], elapsed)
            });
        }
        self.advance(interval);
        let elements = self.backlog.len();
        let (backlog, elapsed) = (&mut self.backlog[..elements], &self.elapsed[..elements]);
        let (slowest, costs) = (&mut self.slowest[..elements], &costs[..elements]);
        for n in 0..elements {
            backlog[n] = backlog[n].saturating_sub(elapsed[n]) + costs[n];
            slowest[n] = backlog[n];
        }
        self.finish();
    }

    /// Sends one chunk to units of several elements. `receive` is given the number of a unit, its
    /// backlogs and the time since its last chunk; it takes the time off the backlogs, adds the
    /// cycles of the chunk, and returns the largest.
    #[inline(always)]
    pub(super) fn send_to_units(
        &mut self,
        interval: u64,
        mut receive: impl FnMut(usize, &mut [u16], u16) -> u16,
    ) {
        self.advance(interval);
        let line = self.backlog.len() / self.sent.len();
        for unit in 0..self.sent.len() {
            let backlog = &mut self.backlog[unit * line..][..line];
            self.slowest[unit] = receive(unit, backlog, self.elapsed[unit]);
        }
        self.finish();
    }

    /// Works out when the next chunk is sent.
    #[inline(always)]
    fn advance(&mut self, interval: u64) {
        // The first chunk is sent at once.
        let interval = if self.started { interval } else { 0 };
        self.started = true;
        let units = self.sent.len();
        let finished = &self.finished[self.slot * units..][..units];
        for unit in 0..units {
            let sent = self.sent[unit];
            let next = sent.saturating_add(interval).max(finished[unit]);
            self.elapsed[unit] = (next - sent).min(u16::MAX.into()) as u16;
            self.sent[unit] = next;
        }
    }

    /// Notes when the chunk just received is finished.
    #[inline(always)]
    fn finish(&mut self) {
        let units = self.sent.len();
        let finished = &mut self.finished[self.slot * units..][..units];
        for unit in 0..units {
            finished[unit] = self.sent[unit] + u64::from(self.slowest[unit]);
        }
        self.slot = if (self.slot + 1) * units == self.finished.len() { 0 } else { self.slot + 1 };
    }

    /// When the last element is done.
    pub(super) fn done(&self) -> u64 {
        let ends = self.sent.iter().zip(&self.slowest);
        ends.map(|(&sent, &slowest)| sent + u64::from(slowest)).max().unwrap_or(0)
    }
}

/// One chunk for one unit: `backlog ← max(backlog − elapsed, 0) + cost`; returns the largest.
#[inline(always)]
fn receive(backlog: &mut [u16], costs: &[u16], elapsed: u16) -> u16 {
    let (mut slowest, costs) = (0, &costs[..backlog.len()]);
    for n in 0..backlog.len() {
        backlog[n] = backlog[n].saturating_sub(elapsed) + costs[n];
        slowest = backlog[n].max(slowest);
    }
    slowest
}
