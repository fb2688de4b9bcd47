// One accumulation of a chain in the three styles of docs/accumulators.md, without registers. The
// sum has the accumulator's format; in the exact style it has SUM_BITS bits at the finer of the
// binary points of product and accumulator, and is cast once after the loop.
module accumulate #(
    parameter int FULL = 17,              // bits of the exact product, signed
    parameter int STYLE = 1,
    parameter int PRODUCT_FRAC = 0,       // of the exact product
    parameter int CAST_BITS = 16,         // the cast of the product, in the style product_cast
    parameter int CAST_SIGNED = 1,
    parameter int CAST_FRAC = 0,
    parameter int CAST_ROUNDING = 0,
    parameter int CAST_OVERFLOW = 1,
    parameter int SUM_BITS = 32,
    parameter int SUM_SIGNED = 1,
    parameter int SUM_FRAC = 0,           // of the accumulator
    parameter int SUM_ROUNDING = 0,
    parameter int SUM_OVERFLOW = 1
) (
    input  logic signed [    FULL-1:0] product,
    input  logic        [SUM_BITS-1:0] sum,
    output logic        [SUM_BITS-1:0] next
);
  generate
    if (STYLE == codes_pkg::PRODUCT_CAST) begin : g_product_cast
      localparam int UP = SUM_FRAC - CAST_FRAC;  // never negative
      localparam int TERM = CAST_BITS + UP + 1;
      localparam int WIDE = (TERM > SUM_BITS + 1 ? TERM : SUM_BITS + 1) + 1;
      logic [CAST_BITS-1:0] rounded;
      logic unused_product, unused_sum;
      cast #(
          .IN_BITS(FULL),
          .OUT_BITS(CAST_BITS),
          .OUT_SIGNED(CAST_SIGNED),
          .DROP(PRODUCT_FRAC - CAST_FRAC),
          .ROUNDING(CAST_ROUNDING),
          .OVERFLOW(CAST_OVERFLOW)
      ) product_cast (
          .value(product),
          .word(rounded),
          .overflowed(unused_product)
      );
      logic signed [WIDE-1:0] term, total;
      assign term = $signed({CAST_SIGNED != 0 && rounded[CAST_BITS-1], rounded});
      assign total = $signed({SUM_SIGNED != 0 && sum[SUM_BITS-1], sum}) + (term <<< UP);
      fit #(
          .IN_BITS (WIDE),
          .OUT_BITS(SUM_BITS),
          .OVERFLOW(SUM_OVERFLOW)
      ) range (
          .value(total),
          .is_signed(SUM_SIGNED != 0),
          .word(next),
          .overflowed(unused_sum)
      );
    end else if (STYLE == codes_pkg::FUSED) begin : g_fused
      localparam int FRAC = PRODUCT_FRAC > SUM_FRAC ? PRODUCT_FRAC : SUM_FRAC;
      localparam int TERM = FULL + FRAC - PRODUCT_FRAC;
      localparam int HELD = SUM_BITS + 1 + FRAC - SUM_FRAC;
      localparam int WIDE = (TERM > HELD ? TERM : HELD) + 1;
      logic signed [WIDE-1:0] held, term, total;
      logic unused;
      assign held  = $signed({SUM_SIGNED != 0 && sum[SUM_BITS-1], sum});
      assign term  = product;
      assign total = (held <<< (FRAC - SUM_FRAC)) + (term <<< (FRAC - PRODUCT_FRAC));
      cast #(
          .IN_BITS(WIDE),
          .OUT_BITS(SUM_BITS),
          .OUT_SIGNED(SUM_SIGNED),
          .DROP(FRAC - SUM_FRAC),
          .ROUNDING(SUM_ROUNDING),
          .OVERFLOW(SUM_OVERFLOW)
      ) range (
          .value(total),
          .word(next),
          .overflowed(unused)
      );
    end else begin : g_exact
      localparam int UP = SUM_FRAC > PRODUCT_FRAC ? SUM_FRAC - PRODUCT_FRAC : 0;
      logic signed [SUM_BITS-1:0] term;
      assign term = SUM_BITS'(product);
      assign next = sum + (term <<< UP);
    end
  endgenerate
endmodule
