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
    /// Elements of a sync unit.
    members: usize,
    /// By sync unit (element, line or grid): when its last chunk was sent, and how long before the
    /// next.
    sent: Vec<u64>,
    elapsed: Vec<u16>,
    slowest: Vec<u16>,
    /// When the slowest member of a unit finished each of the last `lookahead` chunks.
    finished: Vec<u64>,
    slot: usize,
    started: bool,
    /// After the last pass.
    state: State,
    earlier: State,
}

/// Where a grid stands after a pass.
#[derive(Clone, Default, Debug)]
struct State {
    sent: Vec<u64>,
    /// What decides how it goes on, counted from the last chunk: by unit the backlogs, and when the
    /// last chunks were finished, the oldest first.
    relative: Vec<u64>,
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
        self.members = outer * inner / units;
        self.slot = 0;
        self.started = false;
    }

    /// Sends one chunk that occupies the elements for `costs` cycles, outer line by outer line.
    #[inline(always)]
    pub(super) fn send(&mut self, costs: &[u16], interval: u64) {
        let members = self.members;
        if members > 1 {
            return self.send_to_units(interval, |unit, backlog, elapsed| {
                receive(backlog, &costs[unit * members..][..members], elapsed)
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
        if self.sent.len() == 1 {
            return self.send_to_all(interval, |backlog, elapsed| receive(0, backlog, elapsed));
        }
        self.advance(interval);
        let members = self.members;
        for unit in 0..self.sent.len() {
            let backlog = &mut self.backlog[unit * members..][..members];
            self.slowest[unit] = receive(unit, backlog, self.elapsed[unit]);
        }
        self.finish();
    }

    /// [`send_to_units`](Self::send_to_units) of a single unit.
    #[inline(always)]
    fn send_to_all(&mut self, interval: u64, receive: impl FnOnce(&mut [u16], u16) -> u16) {
        let interval = if self.started { interval } else { 0 };
        self.started = true;
        let (slot, sent) = (self.slot, self.sent[0]);
        let next = sent.saturating_add(interval).max(self.finished[slot]);
        let slowest = receive(&mut self.backlog, (next - sent).min(u16::MAX.into()) as u16);
        self.sent[0] = next;
        self.slowest[0] = slowest;
        self.finished[slot] = next + u64::from(slowest);
        self.slot = if slot + 1 == self.finished.len() { 0 } else { slot + 1 };
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

    /// Forgets the passes before.
    pub(super) fn begin_passes(&mut self) {
        self.state.sent.clear();
        self.state.relative.clear();
    }

    /// After a pass over the same chunks as the pass before: whether the grid stands where it stood
    /// after that one. All passes then take it the same time, and `left` more are made up for.
    #[inline(always)]
    pub(super) fn repeat(&mut self, left: usize) -> bool {
        let Self { backlog, members, sent, finished, slot, state, earlier, .. } = self;
        std::mem::swap(state, earlier);
        state.sent.clear();
        state.relative.clear();
        let (units, members) = (sent.len(), *members);
        for unit in 0..units {
            state.sent.push(sent[unit]);
            for &backlog in &backlog[unit * members..][..members] {
                state.relative.push(backlog.into());
            }
            for at in (*slot..finished.len() / units).chain(0..*slot) {
                state.relative.push(finished[at * units + unit].saturating_sub(sent[unit]));
            }
        }
        if state.relative != earlier.relative {
            return false;
        }
        for unit in 0..units {
            let time = (sent[unit] - earlier.sent[unit]).saturating_mul(left as u64);
            sent[unit] = sent[unit].saturating_add(time);
            for at in 0..finished.len() / units {
                let finished = &mut finished[at * units + unit];
                *finished = finished.saturating_add(time);
            }
        }
        true
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
