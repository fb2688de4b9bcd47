// The multiply-accumulate element: a chain begins with a bias, takes a product a cycle, and shows
// the accumulator. Pipelined, operands and product have registers, and a product counts two cycles
// after its operands.
module mac #(
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
    parameter int SUM_OVERFLOW = 1,
    parameter int ACCUMULATOR_BITS = SUM_BITS,  // SUM_BITS, but for the exact style
    parameter int BIAS_BITS = 32,
    parameter int BIAS_SIGNED = 1,
    parameter int BIAS_FRAC = 0,
    parameter int PIPELINED = 0
) (
    input  logic                        clk,
    input  logic                        start,        // the sum becomes the bias, cast
    input  logic                        valid,        // the operands count
    input  logic [       BIAS_BITS-1:0] bias,
    input  logic [     WEIGHT_BITS-1:0] weight,
    input  logic [ ACTIVATION_BITS-1:0] activation,
    output logic [        SUM_BITS-1:0] sum,
    output logic [ACCUMULATOR_BITS-1:0] accumulator  // of the sum: its cast in the exact style
);
  localparam int FULL = WEIGHT_BITS + ACTIVATION_BITS + 1;
  logic signed [FULL-1:0] full, product;
  logic [WEIGHT_BITS-1:0] w;
  logic [ACTIVATION_BITS-1:0] x;
  logic accumulating, starting;
  logic [BIAS_BITS-1:0] first;

  multiply #(
      .WEIGHT_BITS(WEIGHT_BITS),
      .WEIGHT_SIGNED(WEIGHT_SIGNED),
      .ACTIVATION_BITS(ACTIVATION_BITS),
      .ACTIVATION_SIGNED(ACTIVATION_SIGNED)
  ) multiplier (
      .weight(w),
      .activation(x),
      .product(full)
  );

  generate
    if (PIPELINED != 0) begin : g_pipelined
      logic [1:0] valids, starts;
      logic [2*BIAS_BITS-1:0] biases;
      always_ff @(posedge clk) begin
        w <= weight;
        x <= activation;
        product <= full;
        valids <= {valids[0], valid};
        starts <= {starts[0], start};
        biases <= {biases[BIAS_BITS-1:0], bias};
      end
      assign accumulating = valids[1];
      assign starting = starts[1];
      assign first = biases[2*BIAS_BITS-1:BIAS_BITS];
    end else begin : g_direct
      assign w = weight;
      assign x = activation;
      assign product = full;
      assign accumulating = valid;
      assign starting = start;
      assign first = bias;
    end
  endgenerate

  logic [SUM_BITS-1:0] next, begun;
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
  always_ff @(posedge clk) begin
    if (starting) sum <= begun;
    else if (accumulating) sum <= next;
  end

  bias_cast #(
      .STYLE(STYLE),
      .BIAS_BITS(BIAS_BITS),
      .BIAS_SIGNED(BIAS_SIGNED),
      .DROP(BIAS_FRAC - SUM_FRAC),
      .PRODUCT_FRAC(PRODUCT_FRAC),
      .SUM_BITS(SUM_BITS),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .SUM_SIGNED(SUM_SIGNED),
      .SUM_FRAC(SUM_FRAC),
      .SUM_ROUNDING(SUM_ROUNDING),
      .SUM_OVERFLOW(SUM_OVERFLOW)
  ) initial_sum (
      .bias(first),
      .sum(begun)
  );

  finish #(
      .STYLE(STYLE),
      .PRODUCT_FRAC(PRODUCT_FRAC),
      .SUM_BITS(SUM_BITS),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .SUM_SIGNED(SUM_SIGNED),
      .SUM_FRAC(SUM_FRAC),
      .SUM_ROUNDING(SUM_ROUNDING),
      .SUM_OVERFLOW(SUM_OVERFLOW)
  ) last (
      .sum(sum),
      .accumulator(accumulator)
  );
endmodule
