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

    /// Sends the chunks of tiles of up to `lanes` of `rows` rows, each tile `repeats` times. The
    /// costs of the rows for a chunk begin `pitch`, which is [`PART`] more than there are rows, after
    /// those for the chunk before. Elements without a row have no output.
    #[inline(always)]
    pub(super) fn send_tiles(
        &mut self,
        costs: &[u16],
        [pitch, lanes]: [usize; 2],
        repeats: usize,
        interval: u64,
    ) {
        if self.units() == 1 && self.backlog.len() == PART {
            return self.send_parts(costs, [pitch, lanes], repeats, interval);
        }
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        line.resize(self.backlog.len(), 0);
        for first in (0..pitch - PART).step_by(lanes) {
            let used = lanes.min(pitch - PART - first);
            line[used..].fill(0);
            for _ in 0..repeats {
                for chunk in 0..costs.len() / pitch {
                    let costs = &costs[chunk * pitch + first..][..used];
                    for n in 0..used {
                        line[n] = costs[n];
                    }
                    self.send(&line, interval);
                }
            }
        }
        self.line = line;
    }

    /// The same for one unit of a whole part.
    #[inline(always)]
    fn send_parts(
        &mut self,
        costs: &[u16],
        [pitch, lanes]: [usize; 2],
        repeats: usize,
        interval: u64,
    ) {
        let (chunks, rows) = (costs.len() / pitch, pitch - PART);
        let (mut backlog, mut occupied) = ([0; PART], [0; PART]);
        for n in 0..PART {
            backlog[n] = self.backlog[n];
        }
        let (mut sent, mut slot, mut slowest) = (self.sent[0], self.slot, self.slowest[0]);
        let (mut started, mut first) = (self.started, 0);
        let finished = &mut self.finished[..];
        while first < rows {
            let used = lanes.min(rows - first);
            for n in 0..PART {
                occupied[n] = if n < used { u16::MAX } else { 0 };
            }
            for _ in 0..repeats {
                for chunk in 0..chunks {
                    let wait = if started { interval } else { 0 };
                    let next = sent.saturating_add(wait).max(finished[slot]);
                    let elapsed = (next - sent).min(u16::MAX.into()) as u16;
                    (sent, started) = (next, true);
                    let (line, mut costs) = (&costs[chunk * pitch + first..][..PART], [0; PART]);
                    for n in 0..PART {
                        costs[n] = line[n] & occupied[n];
                    }
                    slowest = receive(&mut backlog, &costs, elapsed);
                    finished[slot] = sent + u64::from(slowest);
                    slot = if slot + 1 == finished.len() { 0 } else { slot + 1 };
                }
            }
            first += lanes;
        }
        for n in 0..PART {
            self.backlog[n] = backlog[n];
        }
        (self.sent[0], self.slot, self.slowest[0]) = (sent, slot, slowest);
        self.started = started;
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
