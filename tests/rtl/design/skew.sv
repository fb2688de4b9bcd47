// A delay of whole cycles, none included.
module skew #(
    parameter int BITS = 8,
    parameter int DELAY = 1
) (
    input  logic            clk,
    input  logic [BITS-1:0] word,
    output logic [BITS-1:0] out
);
  generate
    if (DELAY == 0) begin : g_none
      assign out = word;
    end else begin : g_registers
      logic [DELAY*BITS-1:0] line;
      if (DELAY == 1) begin : g_one
        always_ff @(posedge clk) line <= word;
      end else begin : g_many
        always_ff @(posedge clk) line <= {line[(DELAY-1)*BITS-1:0], word};
      end
      assign out = line[DELAY*BITS-1-:BITS];
    end
  endgenerate
endmodule
