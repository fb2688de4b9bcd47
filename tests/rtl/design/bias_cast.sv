// What the sum holds before the first product: the bias, cast into the accumulator. In the exact
// style at the finer of the binary points of product and accumulator.
module bias_cast #(
    parameter int STYLE = 1,
    parameter int BIAS_BITS = 32,
    parameter int BIAS_SIGNED = 1,
    parameter int DROP = 0,              // fractional bits of the bias above the accumulator's
    parameter int PRODUCT_FRAC = 0,
    parameter int SUM_BITS = 32,
    parameter int ACCUMULATOR_BITS = SUM_BITS,
    parameter int SUM_SIGNED = 1,
    parameter int SUM_FRAC = 0,
    parameter int SUM_ROUNDING = 0,
    parameter int SUM_OVERFLOW = 1
) (
    input  logic [BIAS_BITS-1:0] bias,
    output logic [ SUM_BITS-1:0] sum
);
  localparam int UP = STYLE == codes_pkg::EXACT && PRODUCT_FRAC > SUM_FRAC ? PRODUCT_FRAC - SUM_FRAC : 0;
  logic [ACCUMULATOR_BITS-1:0] word;
  logic unused;
  cast #(
      .IN_BITS(BIAS_BITS + 1),
      .OUT_BITS(ACCUMULATOR_BITS),
      .OUT_SIGNED(SUM_SIGNED),
      .DROP(DROP),
      .ROUNDING(SUM_ROUNDING),
      .OVERFLOW(SUM_OVERFLOW)
  ) into_accumulator (
      .value({BIAS_SIGNED != 0 && bias[BIAS_BITS-1], bias}),
      .word(word),
      .overflowed(unused)
  );
  logic signed [SUM_BITS:0] extended;
  assign extended = $signed({SUM_SIGNED != 0 && word[ACCUMULATOR_BITS-1], word});
  assign sum = SUM_BITS'(extended <<< UP);
endmodule
