// The exact product of two words, signed whatever the operands are.
`include "faults.svh"
module multiply #(
    parameter int WEIGHT_BITS = 8,
    parameter int WEIGHT_SIGNED = 1,
    parameter int ACTIVATION_BITS = 8,
    parameter int ACTIVATION_SIGNED = 1,
    parameter int FULL = WEIGHT_BITS + ACTIVATION_BITS + 1
) (
    input  logic        [    WEIGHT_BITS-1:0] weight,
    input  logic        [ACTIVATION_BITS-1:0] activation,
    output logic signed [           FULL-1:0] product
);
  generate
    if (WEIGHT_SIGNED != 0 && ACTIVATION_SIGNED != 0 && `FAULT != 3) begin : g_signed
      assign product = FULL'($signed(weight) * $signed(activation));
    end else begin : g_mixed
      logic signed [WEIGHT_BITS:0] w;
      logic signed [ACTIVATION_BITS:0] x;
      assign w = {WEIGHT_SIGNED != 0 && `FAULT != 3 ? weight[WEIGHT_BITS-1] : 1'b0, weight};
      assign x = {ACTIVATION_SIGNED != 0 ? activation[ACTIVATION_BITS-1] : 1'b0, activation};
      assign product = FULL'(w * x);
    end
  endgenerate
endmodule
