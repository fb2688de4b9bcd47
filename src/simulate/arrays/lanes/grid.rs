//! The state of the processing elements, kept relative to the chunks that they receive.

#![allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "plain loops are inlined for any instruction set"
)]

use crate::simulate::arrays::lanes::masks::PART;

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
    /// Costs of a chunk.
    line: Vec<u16>,
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
        self.begin(interval);
        if self.members > 1 {
            for unit in 0..self.units() {
                let costs = &costs[unit * self.members..][..self.members];
                let (backlog, elapsed) = self.unit(unit);
                let slowest = receive(backlog, costs, elapsed);
                self.received(unit, slowest);
            }
        } else {
            let elements = self.backlog.len();
            let (backlog, elapsed) = (&mut self.backlog[..elements], &self.elapsed[..elements]);
            let (slowest, costs) = (&mut self.slowest[..elements], &costs[..elements]);
            for n in 0..elements {
                backlog[n] = backlog[n].saturating_sub(elapsed[n]) + costs[n];
                slowest[n] = backlog[n];
            }
        }
        self.finish();
    }

    /// Sends chunks one after the other. The first `used` elements are occupied for the `costs` of a
    /// chunk, which begin `pitch` after those of the one before; the others have no output.
    ///
    /// Up to a whole part of other costs may follow the last.
    #[inline(always)]
    pub(super) fn send_all(&mut self, costs: &[u16], pitch: usize, used: usize, interval: u64) {
        let chunks = costs.len().div_ceil(pitch);
        if self.units() > 1 || self.backlog.len() != PART {
            let mut line = std::mem::take(&mut self.line);
            line.clear();
            line.resize(self.backlog.len(), 0);
            for chunk in 0..chunks {
                let costs = &costs[chunk * pitch..][..used];
                for n in 0..used {
                    line[n] = costs[n];
                }
                self.send(&line, interval);
            }
            self.line = line;
            return;
        }
        let (mut backlog, mut occupied) = ([0; PART], [0; PART]);
        for n in 0..PART {
            backlog[n] = self.backlog[n];
            occupied[n] = if n < used { u16::MAX } else { 0 };
        }
        let (mut sent, mut slot, mut slowest) = (self.sent[0], self.slot, self.slowest[0]);
        let mut wait = if self.started { interval } else { 0 };
        for chunk in 0..chunks {
            let next = sent.saturating_add(wait).max(self.finished[slot]);
            let elapsed = (next - sent).min(u16::MAX.into()) as u16;
            (sent, wait) = (next, interval);
            let (line, mut costs) = (&costs[chunk * pitch..][..PART], [0; PART]);
            for n in 0..PART {
                costs[n] = line[n] & occupied[n];
            }
            slowest = receive(&mut backlog, &costs, elapsed);
            self.finished[slot] = sent + u64::from(slowest);
            slot = if slot + 1 == self.finished.len() { 0 } else { slot + 1 };
        }
        for n in 0..PART {
            self.backlog[n] = backlog[n];
        }
        self.started |= chunks > 0;
        (self.sent[0], self.slot, self.slowest[0]) = (sent, slot, slowest);
    }

    /// Number of sync units.
    #[inline(always)]
    pub(super) fn units(&self) -> usize {
        self.sent.len()
    }

    /// Works out when the next chunk is sent. Every unit is then to receive it: to take the time
    /// that has passed off its backlogs, and to add the cycles of the chunk.
    #[inline(always)]
    pub(super) fn begin(&mut self, interval: u64) {
        // The first chunk is sent at once.
        let interval = if self.started { interval } else { 0 };
        self.started = true;
        let units = self.sent.len();
        let finished = &self.finished[self.slot * units..][..units];
        let (sent, elapsed) = (&mut self.sent[..units], &mut self.elapsed[..units]);
        for unit in 0..units {
            let next = sent[unit].saturating_add(interval).max(finished[unit]);
            elapsed[unit] = (next - sent[unit]).min(u16::MAX.into()) as u16;
            sent[unit] = next;
        }
    }

    /// The backlogs of a unit, and the time that has passed since its last chunk.
    #[inline(always)]
    pub(super) fn unit(&mut self, unit: usize) -> (&mut [u16], u16) {
        (&mut self.backlog[unit * self.members..][..self.members], self.elapsed[unit])
    }

    /// Notes the largest backlog of a unit.
    #[inline(always)]
    pub(super) fn received(&mut self, unit: usize, slowest: u16) {
        self.slowest[unit] = slowest;
    }

    /// Notes when the chunk just received is finished.
    #[inline(always)]
    pub(super) fn finish(&mut self) {
        let units = self.sent.len();
        let finished = &mut self.finished[self.slot * units..][..units];
        let (sent, slowest) = (&self.sent[..units], &self.slowest[..units]);
        for unit in 0..units {
            finished[unit] = sent[unit] + u64::from(slowest[unit]);
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
