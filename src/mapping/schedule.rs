//! When tiles move: what overlaps with compute, and what stalls it.

use crate::hardware::Operand;
use crate::mapping::traffic::{Trips, free_loop};
use crate::mapping::{Accesses, Buffers, TileLoop};

/// The steps of a layer, a tile each, and the transfers between them, grouped by kind.
///
/// Steps are equal: each has the same share of the layer's compute cycles, and each transfer of an
/// operand has the same share of its traffic, so that totals are exact while edges and padding are
/// spread evenly. The first tiles arrive before any compute and the last leaves after all of it.
/// Between two steps, what leaves and what arrives moves during the compute of one step if its
/// buffer is double-buffered, and adds to it otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Schedule {
    steps: u64,
    /// Cycles of the first fill and the last drain.
    ends: u64,
    transitions: [Transition; 4],
}

/// Transfers between two steps.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Transition {
    count: u64,
    /// Cycles of transfers that overlap with compute.
    overlapping: u64,
    /// Cycles of transfers that do not.
    serial: u64,
}

impl Schedule {
    /// The schedule of the loops `order` over `trips`, groups outermost.
    pub(super) fn new(
        trips: &Trips,
        order: &[TileLoop; 3],
        traffic: &Accesses,
        buffers: &Buffers,
    ) -> Self {
        // From the innermost loop to the groups, which all operands depend on.
        let [outer, middle, inner] = order.map(|l| (Some(l), trips.of(l)));
        let loops = [inner, middle, outer, (None, trips.groups)];
        let steps = trips.steps();
        let visits = Operand::ALL.map(|operand| {
            let free = trips.of(free_loop(operand));
            steps / free * trips.rounds(operand, order)
        });
        let share = |bits: u64, count: u64| bits.div_ceil(count.max(1));
        // Per transfer; an ofmap tile takes its successor's partial sums along.
        let moved: [u64; 3] = std::array::from_fn(|operand| {
            let last_visit = visits[operand] - u64::from(operand == Operand::Ofmap.index());
            share(traffic.read_bits[operand], last_visit)
                + share(traffic.write_bits[operand], visits[operand])
        });
        let mut transitions = [Transition::default(); 4];
        let mut inside = 1;
        let mut replaced = [false; 3];
        for (transition, (tile_loop, trips)) in transitions.iter_mut().zip(loops) {
            if trips > 1 {
                for operand in Operand::ALL {
                    replaced[operand.index()] |= tile_loop != Some(free_loop(operand));
                }
            }
            let bits = |overlapping: bool| {
                std::array::from_fn(|operand| {
                    let moves = replaced[operand] && buffers.overlaps(operand) == overlapping;
                    if moves { moved[operand] } else { 0 }
                })
            };
            *transition = Transition {
                count: steps / (inside * trips) * (trips - 1),
                overlapping: buffers.transfer_cycles(bits(true)),
                serial: buffers.transfer_cycles(bits(false)),
            };
            inside *= trips;
        }
        let [ifmap, weights, ofmap] = Operand::ALL.map(Operand::index);
        let fill = [moved[ifmap], moved[weights], 0];
        let drain = [0, 0, share(traffic.write_bits[ofmap], visits[ofmap])];
        let ends = buffers.transfer_cycles(fill) + buffers.transfer_cycles(drain);
        Self { steps, ends, transitions }
    }

    /// The schedule of `steps` equal tiles that stream through the buffers.
    pub(super) fn streaming(steps: u64, traffic: &Accesses, buffers: &Buffers) -> Self {
        let part: [u64; 3] = std::array::from_fn(|operand| {
            (traffic.read_bits[operand] + traffic.write_bits[operand]).div_ceil(steps)
        });
        let some = |keep: &dyn Fn(usize) -> bool| {
            let bits = std::array::from_fn(|operand| if keep(operand) { part[operand] } else { 0 });
            buffers.transfer_cycles(bits)
        };
        let ofmap = Operand::Ofmap.index();
        let between = Transition {
            count: steps - 1,
            overlapping: some(&|operand| buffers.overlaps(operand)),
            serial: some(&|operand| !buffers.overlaps(operand)),
        };
        let ends = some(&|operand| operand != ofmap) + some(&|operand| operand == ofmap);
        let mut transitions = [Transition::default(); 4];
        transitions[0] = between;
        Self { steps, ends, transitions }
    }

    /// Tiles of the layer.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Cycles that `compute` cycles wait for memory: the first fill, the last drain, and what no
    /// step's compute covers.
    pub fn stall(&self, compute: u64) -> u64 {
        let steps = u128::from(self.steps.max(1));
        let waits = self.transitions.iter().map(|transition| {
            let count = u128::from(transition.count);
            let transfer = count * u128::from(transition.overlapping);
            let exposed = (transfer * steps).saturating_sub(count * u128::from(compute));
            // Most often nothing is, and a division takes long.
            let exposed = if exposed == 0 { 0 } else { exposed.div_ceil(steps) };
            exposed + count * u128::from(transition.serial)
        });
        u64::try_from(waits.sum::<u128>()).map_or(u64::MAX, |waits| self.ends.saturating_add(waits))
    }
}
