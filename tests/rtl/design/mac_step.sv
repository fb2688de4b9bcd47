// One step of a multiply-accumulate chain, without registers.
module mac_step #(
    parameter int STYLE = 1,
    parameter int WEIGHT_BITS = 8,
    parameter int WEIGHT_SIGNED = 1,
    parameter int ACTIVATION_BITS = 8,
    parameter int ACTIVATION_SIGNED = 1,
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
    input  logic [    WEIGHT_BITS-1:0] weight,
    input  logic [ACTIVATION_BITS-1:0] activation,
    input  logic [       SUM_BITS-1:0] sum,
    output logic [       SUM_BITS-1:0] next
);
  localparam int FULL = WEIGHT_BITS + ACTIVATION_BITS + 1;
  logic signed [FULL-1:0] product;
  multiply #(
      .WEIGHT_BITS(WEIGHT_BITS),
      .WEIGHT_SIGNED(WEIGHT_SIGNED),
      .ACTIVATION_BITS(ACTIVATION_BITS),
      .ACTIVATION_SIGNED(ACTIVATION_SIGNED)
  ) multiplier (
      .weight(weight),
      .activation(activation),
      .product(product)
  );
  accumulate #(
      .FULL(FULL),
      .STYLE(STYLE),
      .PRODUCT_FRAC(PRODUCT_FRAC),
      .CAST_BITS(CAST_BITS),
      .CAST_SIGNED(CAST_SIGNED),
      .CAST_FRAC(CAST_FRAC),
      .CAST_ROUNDING(CAST_ROUNDING),
      .CAST_OVERFLOW(CAST_OVERFLOW),
      .SUM_BITS(SUM_BITS),
      .SUM_SIGNED(SUM_SIGNED),
      .SUM_FRAC(SUM_FRAC),
      .SUM_ROUNDING(SUM_ROUNDING),
      .SUM_OVERFLOW(SUM_OVERFLOW)
  ) adder (
      .product(product),
      .sum(sum),
      .next(next)
  );
endmodule
