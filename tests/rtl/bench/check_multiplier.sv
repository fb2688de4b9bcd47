// The `multiplier_shift` requantizer with one multiplier and shift, in lock-step with its model.
module check_multiplier #(
    parameter int SEED = 1,
    parameter int MULTIPLIER = 1073741824,
    parameter int SHIFT = 0,
    parameter int OUT_BITS = 8,
    parameter int OUT_SIGNED = 1
) (
    input logic clk
);
  /* verilator no_inline_module */
  import bittrue_pkg::*;
  longint checks, errors;
  chandle model;
  string description;
  initial begin
    description = {
      "style = \"fused\"\nweights = \"s8f0\"\nactivations = \"s8f0\"\n",
      "accumulator = { format = \"s32f0\", rounding = \"floor\", overflow = \"saturate\" }\n",
      $sformatf("output = { format = \"%s%0df0\", rounding = \"half_even\", overflow = \"saturate\" }\n",
                OUT_SIGNED != 0 ? "s" : "u", OUT_BITS),
      $sformatf("requantizer = [{ kind = \"multiplier_shift\", multiplier = %0d, shift = %0d }]\n",
                MULTIPLIER, SHIFT)
    };
    bittrue_check(bittrue_chain_open(null, description, model));
  end

  longint unsigned random;
  initial random = 64'h9e3779b97f4a7c15 * SEED;
  logic signed [31:0] value;
  logic [OUT_BITS-1:0] word;
  logic overflowed;
  requantize_multiplier #(
      .OUT_BITS(OUT_BITS)
  ) requantizer (
      .value(value),
      .multiplier(31'(MULTIPLIER)),
      .shift(6'(SHIFT)),
      .is_signed(OUT_SIGNED != 0),
      .word(word),
      .overflowed(overflowed)
  );

  longint result;
  logic begun;
  initial begun = 0;
  always @(posedge clk) begin
    if (begun) begin
      result = bittrue_requantize(model, 64'(value));
      checks = checks + 1;
      if (word != result[OUT_BITS-1:0]) begin
        errors = errors + 1;
        if (errors < 4)
          $display("word of %h differs: %h, the model says %h; of\n%s", value, word, result, description);
      end
    end
    begun = 1;
    random = random ^ (random << 13);
    random = random ^ (random >> 7);
    random = random ^ (random << 17);
    // Of all magnitudes, the largest among them.
    value <= random[63:61] == 0 ? {random[60], {31{~random[60]}}} : $signed(random[31:0]) >>> random[59:55];
  end
endmodule
