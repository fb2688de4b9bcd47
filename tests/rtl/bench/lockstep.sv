// The element and the requantizers in lock-step with the C library: random chains, each sum, each
// accumulator and each output word compared as it appears. All configurations run side by side.
module lockstep;
  import codes_pkg::*;
  logic clk = 0;
  longint wanted;
  // product_cast: s8f5 · s8f3, product s9f4 half_up wrap, accumulator s14f5 floor saturate, output s8f2 half_even saturate
  check_chain #(
      .SEED(1), .STYLE(PRODUCT_CAST), .WEIGHT_BITS(8), .WEIGHT_SIGNED(1), .WEIGHT_FRAC(5),
      .ACTIVATION_BITS(8), .ACTIVATION_SIGNED(1), .ACTIVATION_FRAC(3), .BIAS_BITS(12),
      .BIAS_SIGNED(1), .BIAS_FRAC(6), .CAST_BITS(9), .CAST_SIGNED(1), .CAST_FRAC(4),
      .CAST_ROUNDING(HALF_UP), .CAST_OVERFLOW(WRAP), .ACCUMULATOR_BITS(14), .SUM_BITS(14),
      .SUM_SIGNED(1), .SUM_FRAC(5), .SUM_ROUNDING(FLOOR), .SUM_OVERFLOW(SATURATE), .OUT_BITS(8),
      .OUT_SIGNED(1), .OUT_FRAC(2), .OUT_ROUNDING(HALF_EVEN), .OUT_OVERFLOW(SATURATE),
      .BESIDE(1)
  ) chain0 (.clk(clk));
  // product_cast: s12f8 · u10f6, product s16f10 toward_zero saturate, accumulator s18f12 half_up wrap, output u8f4 half_away saturate
  check_chain #(
      .SEED(2), .STYLE(PRODUCT_CAST), .WEIGHT_BITS(12), .WEIGHT_SIGNED(1), .WEIGHT_FRAC(8),
      .ACTIVATION_BITS(10), .ACTIVATION_SIGNED(0), .ACTIVATION_FRAC(6), .BIAS_BITS(16),
      .BIAS_SIGNED(1), .BIAS_FRAC(10), .CAST_BITS(16), .CAST_SIGNED(1), .CAST_FRAC(10),
      .CAST_ROUNDING(TOWARD_ZERO), .CAST_OVERFLOW(SATURATE), .ACCUMULATOR_BITS(18), .SUM_BITS(18),
      .SUM_SIGNED(1), .SUM_FRAC(12), .SUM_ROUNDING(HALF_UP), .SUM_OVERFLOW(WRAP), .OUT_BITS(8),
      .OUT_SIGNED(0), .OUT_FRAC(4), .OUT_ROUNDING(HALF_AWAY), .OUT_OVERFLOW(SATURATE), .RELU(1)
  ) chain1 (.clk(clk));
  // product_cast: u4f4 · s6f2, product s8f3 half_down saturate_zero, accumulator s10f3 half_even saturate_symmetric, output s6f1 half_toward_zero saturate_symmetric
  check_chain #(
      .SEED(3), .STYLE(PRODUCT_CAST), .WEIGHT_BITS(4), .WEIGHT_SIGNED(0), .WEIGHT_FRAC(4),
      .ACTIVATION_BITS(6), .ACTIVATION_SIGNED(1), .ACTIVATION_FRAC(2), .BIAS_BITS(8),
      .BIAS_SIGNED(1), .BIAS_FRAC(5), .CAST_BITS(8), .CAST_SIGNED(1), .CAST_FRAC(3),
      .CAST_ROUNDING(HALF_DOWN), .CAST_OVERFLOW(SATURATE_ZERO), .ACCUMULATOR_BITS(10),
      .SUM_BITS(10), .SUM_SIGNED(1), .SUM_FRAC(3), .SUM_ROUNDING(HALF_EVEN),
      .SUM_OVERFLOW(SATURATE_SYMMETRIC), .OUT_BITS(6), .OUT_SIGNED(1), .OUT_FRAC(1),
      .OUT_ROUNDING(HALF_TOWARD_ZERO), .OUT_OVERFLOW(SATURATE_SYMMETRIC)
  ) chain2 (.clk(clk));
  // product_cast: s16f12 · s16f8, product s20f10 floor wrap_sign_magnitude, accumulator s24f12 half_down saturate_zero, output s16f6 toward_zero wrap
  check_chain #(
      .SEED(4), .STYLE(PRODUCT_CAST), .WEIGHT_BITS(16), .WEIGHT_SIGNED(1), .WEIGHT_FRAC(12),
      .ACTIVATION_BITS(16), .ACTIVATION_SIGNED(1), .ACTIVATION_FRAC(8), .BIAS_BITS(24),
      .BIAS_SIGNED(1), .BIAS_FRAC(14), .CAST_BITS(20), .CAST_SIGNED(1), .CAST_FRAC(10),
      .CAST_ROUNDING(FLOOR), .CAST_OVERFLOW(WRAP_SIGN_MAGNITUDE), .ACCUMULATOR_BITS(24),
      .SUM_BITS(24), .SUM_SIGNED(1), .SUM_FRAC(12), .SUM_ROUNDING(HALF_DOWN),
      .SUM_OVERFLOW(SATURATE_ZERO), .OUT_BITS(16), .OUT_SIGNED(1), .OUT_FRAC(6),
      .OUT_ROUNDING(TOWARD_ZERO), .OUT_OVERFLOW(WRAP)
  ) chain3 (.clk(clk));
  // fused: s8f5 · s8f3, accumulator s14f5 half_even saturate, output s8f2 half_up saturate
  check_chain #(
      .SEED(5), .STYLE(FUSED), .WEIGHT_BITS(8), .WEIGHT_SIGNED(1), .WEIGHT_FRAC(5),
      .ACTIVATION_BITS(8), .ACTIVATION_SIGNED(1), .ACTIVATION_FRAC(3), .BIAS_BITS(12),
      .BIAS_SIGNED(1), .BIAS_FRAC(6), .ACCUMULATOR_BITS(14), .SUM_BITS(14), .SUM_SIGNED(1),
      .SUM_FRAC(5), .SUM_ROUNDING(HALF_EVEN), .SUM_OVERFLOW(SATURATE), .OUT_BITS(8),
      .OUT_SIGNED(1), .OUT_FRAC(2), .OUT_ROUNDING(HALF_UP), .OUT_OVERFLOW(SATURATE),
      .BESIDE(1)
  ) chain4 (.clk(clk));
  // fused: s8f0 · u8f0, accumulator s20f0 floor saturate, output u8f-3 floor saturate
  check_chain #(
      .SEED(6), .STYLE(FUSED), .WEIGHT_BITS(8), .WEIGHT_SIGNED(1), .WEIGHT_FRAC(0),
      .ACTIVATION_BITS(8), .ACTIVATION_SIGNED(0), .ACTIVATION_FRAC(0), .BIAS_BITS(16),
      .BIAS_SIGNED(1), .BIAS_FRAC(0), .ACCUMULATOR_BITS(20), .SUM_BITS(20), .SUM_SIGNED(1),
      .SUM_FRAC(0), .SUM_ROUNDING(FLOOR), .SUM_OVERFLOW(SATURATE), .OUT_BITS(8), .OUT_SIGNED(0),
      .OUT_FRAC(-3), .OUT_ROUNDING(FLOOR), .OUT_OVERFLOW(SATURATE), .RELU(1)
  ) chain5 (.clk(clk));
  // fused: u6f3 · s9f4, accumulator s12f4 half_away saturate_symmetric, output s5f0 half_down wrap
  check_chain #(
      .SEED(7), .STYLE(FUSED), .WEIGHT_BITS(6), .WEIGHT_SIGNED(0), .WEIGHT_FRAC(3),
      .ACTIVATION_BITS(9), .ACTIVATION_SIGNED(1), .ACTIVATION_FRAC(4), .BIAS_BITS(10),
      .BIAS_SIGNED(1), .BIAS_FRAC(6), .ACCUMULATOR_BITS(12), .SUM_BITS(12), .SUM_SIGNED(1),
      .SUM_FRAC(4), .SUM_ROUNDING(HALF_AWAY), .SUM_OVERFLOW(SATURATE_SYMMETRIC), .OUT_BITS(5),
      .OUT_SIGNED(1), .OUT_FRAC(0), .OUT_ROUNDING(HALF_DOWN), .OUT_OVERFLOW(WRAP)
  ) chain6 (.clk(clk));
  // fused: s16f8 · s16f8, accumulator s32f10 half_toward_zero wrap, output s16f4 half_even saturate_zero
  check_chain #(
      .SEED(8), .STYLE(FUSED), .WEIGHT_BITS(16), .WEIGHT_SIGNED(1), .WEIGHT_FRAC(8),
      .ACTIVATION_BITS(16), .ACTIVATION_SIGNED(1), .ACTIVATION_FRAC(8), .BIAS_BITS(32),
      .BIAS_SIGNED(1), .BIAS_FRAC(16), .ACCUMULATOR_BITS(32), .SUM_BITS(32), .SUM_SIGNED(1),
      .SUM_FRAC(10), .SUM_ROUNDING(HALF_TOWARD_ZERO), .SUM_OVERFLOW(WRAP), .OUT_BITS(16),
      .OUT_SIGNED(1), .OUT_FRAC(4), .OUT_ROUNDING(HALF_EVEN), .OUT_OVERFLOW(SATURATE_ZERO)
  ) chain7 (.clk(clk));
  // fused: u8f4 · u8f4, accumulator u16f4 toward_zero saturate, output u8f2 half_away saturate
  check_chain #(
      .SEED(9), .STYLE(FUSED), .WEIGHT_BITS(8), .WEIGHT_SIGNED(0), .WEIGHT_FRAC(4),
      .ACTIVATION_BITS(8), .ACTIVATION_SIGNED(0), .ACTIVATION_FRAC(4), .BIAS_BITS(12),
      .BIAS_SIGNED(0), .BIAS_FRAC(6), .ACCUMULATOR_BITS(16), .SUM_BITS(16), .SUM_SIGNED(0),
      .SUM_FRAC(4), .SUM_ROUNDING(TOWARD_ZERO), .SUM_OVERFLOW(SATURATE), .OUT_BITS(8),
      .OUT_SIGNED(0), .OUT_FRAC(2), .OUT_ROUNDING(HALF_AWAY), .OUT_OVERFLOW(SATURATE)
  ) chain8 (.clk(clk));
  // fused: s6f2 · s6f1, accumulator s16f6 floor wrap_sign_magnitude, output s12f8 floor wrap_sign_magnitude
  check_chain #(
      .SEED(10), .STYLE(FUSED), .WEIGHT_BITS(6), .WEIGHT_SIGNED(1), .WEIGHT_FRAC(2),
      .ACTIVATION_BITS(6), .ACTIVATION_SIGNED(1), .ACTIVATION_FRAC(1), .BIAS_BITS(10),
      .BIAS_SIGNED(1), .BIAS_FRAC(4), .ACCUMULATOR_BITS(16), .SUM_BITS(16), .SUM_SIGNED(1),
      .SUM_FRAC(6), .SUM_ROUNDING(FLOOR), .SUM_OVERFLOW(WRAP_SIGN_MAGNITUDE), .OUT_BITS(12),
      .OUT_SIGNED(1), .OUT_FRAC(8), .OUT_ROUNDING(FLOOR), .OUT_OVERFLOW(WRAP_SIGN_MAGNITUDE)
  ) chain9 (.clk(clk));
  // exact: s8f5 · s8f3, accumulator s14f5 half_even saturate, output s8f2 half_up saturate
  check_chain #(
      .SEED(11), .STYLE(EXACT), .WEIGHT_BITS(8), .WEIGHT_SIGNED(1), .WEIGHT_FRAC(5),
      .ACTIVATION_BITS(8), .ACTIVATION_SIGNED(1), .ACTIVATION_FRAC(3), .BIAS_BITS(12),
      .BIAS_SIGNED(1), .BIAS_FRAC(6), .ACCUMULATOR_BITS(14), .SUM_BITS(24), .SUM_SIGNED(1),
      .SUM_FRAC(5), .SUM_ROUNDING(HALF_EVEN), .SUM_OVERFLOW(SATURATE), .OUT_BITS(8),
      .OUT_SIGNED(1), .OUT_FRAC(2), .OUT_ROUNDING(HALF_UP), .OUT_OVERFLOW(SATURATE),
      .BESIDE(1)
  ) chain10 (.clk(clk));
  // exact: s12f6 · u12f4, accumulator s20f3 toward_zero wrap, output s12f0 half_toward_zero saturate
  check_chain #(
      .SEED(12), .STYLE(EXACT), .WEIGHT_BITS(12), .WEIGHT_SIGNED(1), .WEIGHT_FRAC(6),
      .ACTIVATION_BITS(12), .ACTIVATION_SIGNED(0), .ACTIVATION_FRAC(4), .BIAS_BITS(20),
      .BIAS_SIGNED(1), .BIAS_FRAC(12), .ACCUMULATOR_BITS(20), .SUM_BITS(34), .SUM_SIGNED(1),
      .SUM_FRAC(3), .SUM_ROUNDING(TOWARD_ZERO), .SUM_OVERFLOW(WRAP), .OUT_BITS(12),
      .OUT_SIGNED(1), .OUT_FRAC(0), .OUT_ROUNDING(HALF_TOWARD_ZERO), .OUT_OVERFLOW(SATURATE)
  ) chain11 (.clk(clk));
  // exact: u8f4 · u8f0, accumulator u12f2 half_up saturate_zero, output u8f0 half_down saturate_zero
  check_chain #(
      .SEED(13), .STYLE(EXACT), .WEIGHT_BITS(8), .WEIGHT_SIGNED(0), .WEIGHT_FRAC(4),
      .ACTIVATION_BITS(8), .ACTIVATION_SIGNED(0), .ACTIVATION_FRAC(0), .BIAS_BITS(10),
      .BIAS_SIGNED(1), .BIAS_FRAC(2), .ACCUMULATOR_BITS(12), .SUM_BITS(22), .SUM_SIGNED(0),
      .SUM_FRAC(2), .SUM_ROUNDING(HALF_UP), .SUM_OVERFLOW(SATURATE_ZERO), .OUT_BITS(8),
      .OUT_SIGNED(0), .OUT_FRAC(0), .OUT_ROUNDING(HALF_DOWN), .OUT_OVERFLOW(SATURATE_ZERO)
  ) chain12 (.clk(clk));
  // exact: s5f2 · s7f1, accumulator s12f5 half_away saturate_symmetric, output s8f3 half_even saturate
  check_chain #(
      .SEED(14), .STYLE(EXACT), .WEIGHT_BITS(5), .WEIGHT_SIGNED(1), .WEIGHT_FRAC(2),
      .ACTIVATION_BITS(7), .ACTIVATION_SIGNED(1), .ACTIVATION_FRAC(1), .BIAS_BITS(9),
      .BIAS_SIGNED(1), .BIAS_FRAC(3), .ACCUMULATOR_BITS(12), .SUM_BITS(20), .SUM_SIGNED(1),
      .SUM_FRAC(5), .SUM_ROUNDING(HALF_AWAY), .SUM_OVERFLOW(SATURATE_SYMMETRIC), .OUT_BITS(8),
      .OUT_SIGNED(1), .OUT_FRAC(3), .OUT_ROUNDING(HALF_EVEN), .OUT_OVERFLOW(SATURATE)
  ) chain13 (.clk(clk));
  check_multiplier #(
      .SEED(101), .MULTIPLIER(1073741824), .SHIFT(0), .OUT_BITS(8), .OUT_SIGNED(1)
  ) multiplier0 (.clk(clk));
  check_multiplier #(
      .SEED(102), .MULTIPLIER(1431655765), .SHIFT(-7), .OUT_BITS(8), .OUT_SIGNED(1)
  ) multiplier1 (.clk(clk));
  check_multiplier #(
      .SEED(103), .MULTIPLIER(2147483647), .SHIFT(-31), .OUT_BITS(8), .OUT_SIGNED(0)
  ) multiplier2 (.clk(clk));
  check_multiplier #(
      .SEED(104), .MULTIPLIER(1234567890), .SHIFT(5), .OUT_BITS(16), .OUT_SIGNED(1)
  ) multiplier3 (.clk(clk));
  check_multiplier #(
      .SEED(105), .MULTIPLIER(1900000001), .SHIFT(-1), .OUT_BITS(8), .OUT_SIGNED(0)
  ) multiplier4 (.clk(clk));
  check_multiplier #(
      .SEED(106), .MULTIPLIER(1073741824), .SHIFT(30), .OUT_BITS(8), .OUT_SIGNED(1)
  ) multiplier5 (.clk(clk));

  longint chains[3];
  longint checks, errors;
  string names[3];
  initial begin
    names = '{"product_cast", "fused", "exact"};
    if (!$value$plusargs("chains=%d", wanted)) wanted = 10000000;
    forever begin
      repeat (4096) begin
        #1 clk = 1;
        #1 clk = 0;
      end
      chains[0] = chain0.chains + chain1.chains + chain2.chains + chain3.chains;
      chains[1] = chain4.chains + chain5.chains + chain6.chains + chain7.chains + chain8.chains + chain9.chains;
      chains[2] = chain10.chains + chain11.chains + chain12.chains + chain13.chains;
      if (chains[0] >= wanted && chains[1] >= wanted && chains[2] >= wanted) break;
    end
    for (int s = 0; s < 3; s = s + 1) $display("chains %s %0d", names[s], chains[s]);
    checks = chain0.checks + chain1.checks + chain2.checks + chain3.checks + chain4.checks +
        chain5.checks + chain6.checks + chain7.checks + chain8.checks + chain9.checks +
        chain10.checks + chain11.checks + chain12.checks + chain13.checks + multiplier0.checks +
        multiplier1.checks + multiplier2.checks + multiplier3.checks + multiplier4.checks +
        multiplier5.checks;
    errors = chain0.errors + chain1.errors + chain2.errors + chain3.errors + chain4.errors +
        chain5.errors + chain6.errors + chain7.errors + chain8.errors + chain9.errors +
        chain10.errors + chain11.errors + chain12.errors + chain13.errors + multiplier0.errors +
        multiplier1.errors + multiplier2.errors + multiplier3.errors + multiplier4.errors +
        multiplier5.errors;
    $display("requantized_by_multiplier %0d", multiplier0.checks + multiplier1.checks + multiplier2.checks + multiplier3.checks + multiplier4.checks + multiplier5.checks);
    $display("checks %0d", checks);
    $display("errors %0d", errors);
    $finish;
  end
endmodule
