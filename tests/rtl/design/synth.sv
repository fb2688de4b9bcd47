// The pipelined element at one operand width, for synthesis: signed words, the exact product's
// binary point throughout, an accumulator of eight bits more than the product, set to zero by start.
module synth #(
    parameter int BITS = 8,
    parameter int OVERFLOW = 0
) (
    input  logic                clk,
    input  logic                start,
    input  logic                valid,
    input  logic [    BITS-1:0] weight,
    input  logic [    BITS-1:0] activation,
    output logic [2*BITS+7:0] accumulator
);
  logic [2*BITS+7:0] unused;
  mac #(
      .STYLE(1),
      .WEIGHT_BITS(BITS),
      .ACTIVATION_BITS(BITS),
      .SUM_BITS(2 * BITS + 8),
      .SUM_OVERFLOW(OVERFLOW),
      .BIAS_BITS(1),
      .PIPELINED(1)
  ) element (
      .clk(clk),
      .start(start),
      .valid(valid),
      .bias(1'b0),
      .weight(weight),
      .activation(activation),
      .sum(unused),
      .accumulator(accumulator)
  );
endmodule
