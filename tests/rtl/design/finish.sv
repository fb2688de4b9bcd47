// The accumulator after the loop: the sum, and in the exact style its one cast.
module finish #(
    parameter int STYLE = 1,
    parameter int PRODUCT_FRAC = 0,
    parameter int SUM_BITS = 32,
    parameter int ACCUMULATOR_BITS = SUM_BITS,
    parameter int SUM_SIGNED = 1,
    parameter int SUM_FRAC = 0,
    parameter int SUM_ROUNDING = 0,
    parameter int SUM_OVERFLOW = 1
) (
    input  logic [        SUM_BITS-1:0] sum,
    output logic [ACCUMULATOR_BITS-1:0] accumulator
);
  generate
    if (STYLE == codes_pkg::EXACT) begin : g_cast
      logic unused;
      cast #(
          .IN_BITS(SUM_BITS),
          .OUT_BITS(ACCUMULATOR_BITS),
          .OUT_SIGNED(SUM_SIGNED),
          .DROP(PRODUCT_FRAC > SUM_FRAC ? PRODUCT_FRAC - SUM_FRAC : 0),
          .ROUNDING(SUM_ROUNDING),
          .OVERFLOW(SUM_OVERFLOW)
      ) once (
          .value(sum),
          .word(accumulator),
          .overflowed(unused)
      );
    end else begin : g_same
      assign accumulator = sum;
    end
  endgenerate
endmodule
