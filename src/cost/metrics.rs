//! Speed and efficiency, from cycles, clock and energy.

use crate::cost::Energy;
use crate::hardware::Hardware;
use crate::simulate::LayerCounts;

/// Speed and efficiency of a run over images, one after the other. All are 0 where they would
/// divide by zero.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Metrics {
    /// Seconds an image, stalls included.
    pub latency_s: f64,
    /// Images a second.
    pub images_per_second: f64,
    /// 10⁹ operations a second; a multiply-accumulate is two, gated and skipped ones included.
    pub gops: f64,
    /// `gops` over the mean power in W.
    pub gops_per_watt: f64,
    /// Effectual and gated multiply-accumulates over those that the array could do in all cycles,
    /// stalls included. Without skipping this is SCALE-Sim's overall utilization; a skipped one
    /// takes no multiplier's time, so the figure stays within 0 and 1.
    pub utilization: f64,
}

/// Speed and efficiency of `counts`, summed over `images`, which took `energy` in all.
pub fn metrics(counts: &LayerCounts, energy: &Energy, images: u64, hardware: &Hardware) -> Metrics {
    let cycles = (counts.cycles.compute + counts.cycles.stall) as f64;
    let seconds = cycles / hardware.clock_hz;
    let operations = 2.0 * counts.macs.total as f64;
    let busy = (counts.macs.effectual + counts.macs.gated) as f64;
    Metrics {
        latency_s: ratio(seconds, images as f64),
        images_per_second: ratio(images as f64, seconds),
        gops: ratio(operations, seconds) / 1e9,
        // (operations / s) / (J / s) = operations / J, and 1 pJ is 10⁻¹² J.
        gops_per_watt: ratio(operations, energy.total_pj()) * 1e3,
        utilization: ratio(busy, cycles * hardware.array.macs_per_cycle() as f64),
    }
}

fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator > 0.0 { numerator / denominator } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::energy;
    use crate::mapping::OperandBits;
    use crate::simulate::{Accesses, Cycles, Macs};

    const BITS: OperandBits =
        OperandBits { weights: 8, bias: 8, activations: 8, accumulator: 32, output: 8 };

    #[test]
    fn figures_follow_from_cycles_clock_and_energy() {
        let hardware = Hardware::open("systolic_ws_16x16").unwrap();
        let counts = LayerCounts {
            cycles: Cycles { compute: 700, stall: 300, ..Cycles::default() },
            macs: Macs { total: 64_000, effectual: 30_000, gated: 20_000, skipped: 14_000 },
            memory: smallvec::smallvec![Accesses { read_bits: [64, 0, 0], ..Accesses::default() }],
            ..LayerCounts::default()
        };
        let spent = energy(&counts, &BITS, &hardware);
        let found = metrics(&counts, &spent, 4, &hardware);
        // 1000 cycles of 2 ns for 4 images; 128 000 operations in 2 µs.
        assert!((found.latency_s / 500e-9 - 1.0).abs() < 1e-12);
        assert!((found.images_per_second / 2e6 - 1.0).abs() < 1e-12);
        assert!((found.gops / 64.0 - 1.0).abs() < 1e-12);
        // 50 000 of the 1000 × 256 multiply-accumulates that the array could do.
        assert_eq!(found.utilization, 50_000.0 / 256_000.0);
        // Power is energy over the 2 µs, in pJ / µs = µW.
        let watts = spent.total_pj() / 2.0 * 1e-6;
        assert!((found.gops_per_watt / (64.0 / watts) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_done_is_all_zeros() {
        let hardware = Hardware::open("zynq7020").unwrap();
        let none = metrics(&LayerCounts::default(), &Energy::default(), 0, &hardware);
        let zeros = Metrics {
            latency_s: 0.0,
            images_per_second: 0.0,
            gops: 0.0,
            gops_per_watt: 0.0,
            utilization: 0.0,
        };
        assert_eq!(none, zeros);
    }
}
