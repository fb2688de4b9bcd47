// An element and a requantizer in lock-step with their model: random chains.
module check_chain #(
    parameter int SEED = 1,
    parameter int STYLE = 1,
    parameter int WEIGHT_BITS = 8,
    parameter int WEIGHT_SIGNED = 1,
    parameter int WEIGHT_FRAC = 0,
    parameter int ACTIVATION_BITS = 8,
    parameter int ACTIVATION_SIGNED = 1,
    parameter int ACTIVATION_FRAC = 0,
    parameter int CAST_BITS = 16,
    parameter int CAST_SIGNED = 1,
    parameter int CAST_FRAC = 0,
    parameter int CAST_ROUNDING = 0,
    parameter int CAST_OVERFLOW = 1,
    parameter int SUM_BITS = 32,
    parameter int ACCUMULATOR_BITS = SUM_BITS,
    parameter int SUM_SIGNED = 1,
    parameter int SUM_FRAC = 0,
    parameter int SUM_ROUNDING = 0,
    parameter int SUM_OVERFLOW = 1,
    parameter int BIAS_BITS = 16,
    parameter int BIAS_SIGNED = 1,
    parameter int BIAS_FRAC = 0,
    parameter int OUT_BITS = 8,
    parameter int OUT_SIGNED = 1,
    parameter int OUT_FRAC = 0,
    parameter int OUT_ROUNDING = 6,
    parameter int OUT_OVERFLOW = 1,
    parameter int RELU = 0,
    parameter int BESIDE = 0  // a pipelined element beside it
) (
    input logic clk
);
  /* verilator no_inline_module */
  import bittrue_pkg::*;
  localparam int W = WEIGHT_BITS, X = ACTIVATION_BITS;

  longint chains, checks, errors;
  chandle model;

  function automatic string rounding(int code);
    case (code)
      codes_pkg::FLOOR: return "floor";
      codes_pkg::TOWARD_ZERO: return "toward_zero";
      codes_pkg::HALF_UP: return "half_up";
      codes_pkg::HALF_TOWARD_ZERO: return "half_toward_zero";
      codes_pkg::HALF_AWAY: return "half_away";
      codes_pkg::HALF_DOWN: return "half_down";
      default: return "half_even";
    endcase
  endfunction

  function automatic string overflow(int code);
    case (code)
      codes_pkg::WRAP: return "wrap";
      codes_pkg::SATURATE_ZERO: return "saturate_zero";
      codes_pkg::SATURATE_SYMMETRIC: return "saturate_symmetric";
      codes_pkg::WRAP_SIGN_MAGNITUDE: return "wrap_sign_magnitude";
      default: return "saturate";
    endcase
  endfunction

  function automatic string format(int is_signed, int bits, int frac);
    return $sformatf("\"%s%0df%0d\"", is_signed != 0 ? "s" : "u", bits, frac);
  endfunction

  function automatic string site(string name, string word, int round, int over);
    return $sformatf("%s = { format = %s, rounding = \"%s\", overflow = \"%s\" }\n",
                     name, word, rounding(round), overflow(over));
  endfunction

  function automatic string style();
    case (STYLE)
      codes_pkg::PRODUCT_CAST: return "product_cast";
      codes_pkg::FUSED: return "fused";
      default: return "exact";
    endcase
  endfunction

  string description;
  initial begin
    description = $sformatf("style = \"%s\"\nweights = %s\nactivations = %s\nbias = %s\n", style(),
        format(WEIGHT_SIGNED, W, WEIGHT_FRAC), format(ACTIVATION_SIGNED, X, ACTIVATION_FRAC),
        format(BIAS_SIGNED, BIAS_BITS, BIAS_FRAC));
    if (STYLE == codes_pkg::PRODUCT_CAST)
      description = {description, site("product", format(CAST_SIGNED, CAST_BITS, CAST_FRAC),
                                       CAST_ROUNDING, CAST_OVERFLOW)};
    description = {description,
        site("accumulator", format(SUM_SIGNED, ACCUMULATOR_BITS, SUM_FRAC), SUM_ROUNDING, SUM_OVERFLOW),
        site("output", format(OUT_SIGNED, OUT_BITS, OUT_FRAC), OUT_ROUNDING, OUT_OVERFLOW)};
    if (RELU != 0) description = {description, $sformatf("clamp = [0, %0d]\n",
                                  (64'd1 << (OUT_SIGNED != 0 ? OUT_BITS - 1 : OUT_BITS)) - 1)};
    bittrue_check(bittrue_chain_open(null, description, model));
  end

  // Stimulus, from a xorshift generator: words of all values, one in eight an end of the range.
  longint unsigned random;
  initial random = 64'h9e3779b97f4a7c15 * SEED;
  logic start, valid;
  logic [BIAS_BITS-1:0] bias;
  logic [W-1:0] weight;
  logic [X-1:0] activation;
  logic [3:0] left;
  logic [1:0] begun;

  logic [SUM_BITS-1:0] sum;
  logic [ACCUMULATOR_BITS-1:0] accumulator;
  mac #(
      .STYLE(STYLE),
      .WEIGHT_BITS(W),
      .WEIGHT_SIGNED(WEIGHT_SIGNED),
      .ACTIVATION_BITS(X),
      .ACTIVATION_SIGNED(ACTIVATION_SIGNED),
      .PRODUCT_FRAC(WEIGHT_FRAC + ACTIVATION_FRAC),
      .CAST_BITS(CAST_BITS),
      .CAST_SIGNED(CAST_SIGNED),
      .CAST_FRAC(CAST_FRAC),
      .CAST_ROUNDING(CAST_ROUNDING),
      .CAST_OVERFLOW(CAST_OVERFLOW),
      .SUM_BITS(SUM_BITS),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .SUM_SIGNED(SUM_SIGNED),
      .SUM_FRAC(SUM_FRAC),
      .SUM_ROUNDING(SUM_ROUNDING),
      .SUM_OVERFLOW(SUM_OVERFLOW),
      .BIAS_BITS(BIAS_BITS),
      .BIAS_SIGNED(BIAS_SIGNED),
      .BIAS_FRAC(BIAS_FRAC)
  ) element (
      .clk(clk),
      .start(start),
      .valid(valid),
      .bias(bias),
      .weight(weight),
      .activation(activation),
      .sum(sum),
      .accumulator(accumulator)
  );

  // The pipelined element has the same sums two cycles later.
  generate
    if (BESIDE != 0) begin : g_beside
      logic [SUM_BITS-1:0] late, earlier, two_earlier;
      logic [ACCUMULATOR_BITS-1:0] unused;
      logic [3:0] seen;
      initial seen = 0;
      mac #(
          .STYLE(STYLE),
          .WEIGHT_BITS(W),
          .WEIGHT_SIGNED(WEIGHT_SIGNED),
          .ACTIVATION_BITS(X),
          .ACTIVATION_SIGNED(ACTIVATION_SIGNED),
          .PRODUCT_FRAC(WEIGHT_FRAC + ACTIVATION_FRAC),
          .CAST_BITS(CAST_BITS),
          .CAST_SIGNED(CAST_SIGNED),
          .CAST_FRAC(CAST_FRAC),
          .CAST_ROUNDING(CAST_ROUNDING),
          .CAST_OVERFLOW(CAST_OVERFLOW),
          .SUM_BITS(SUM_BITS),
          .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
          .SUM_SIGNED(SUM_SIGNED),
          .SUM_FRAC(SUM_FRAC),
          .SUM_ROUNDING(SUM_ROUNDING),
          .SUM_OVERFLOW(SUM_OVERFLOW),
          .BIAS_BITS(BIAS_BITS),
          .BIAS_SIGNED(BIAS_SIGNED),
          .BIAS_FRAC(BIAS_FRAC),
          .PIPELINED(1)
      ) pipelined (
          .clk(clk),
          .start(start),
          .valid(valid),
          .bias(bias),
          .weight(weight),
          .activation(activation),
          .sum(late),
          .accumulator(unused)
      );
      always @(posedge clk) begin
        earlier <= sum;
        two_earlier <= earlier;
        seen <= {seen[2:0], begun[1]};
        if (seen[3]) begin
          checks = checks + 1;
          if (late != two_earlier) differ("pipelined sum", 64'(late), 64'(two_earlier));
        end
      end
    end
  endgenerate

  logic [OUT_BITS-1:0] word;
  logic overflowed;
  localparam logic signed [6:0] DROP = SUM_FRAC - OUT_FRAC;
  requantize #(
      .IN_BITS(ACCUMULATOR_BITS + 1),
      .OUT_BITS(OUT_BITS),
      .ROUNDING(OUT_ROUNDING),
      .OVERFLOW(OUT_OVERFLOW)
  ) requantizer (
      .value({SUM_SIGNED != 0 && accumulator[ACCUMULATOR_BITS-1], accumulator}),
      .drop(DROP),
      .is_signed(OUT_SIGNED != 0),
      .relu(RELU != 0 && OUT_SIGNED == 0),
      .word(word),
      .overflowed(overflowed)
  );

  function automatic void differ(string what, longint found, longint wanted);
    errors = errors + 1;
    if (errors < 4)
      $display("%s differs: %h, the model says %h; chain %0d of\n%s", what, found, wanted, chains,
               description);
  endfunction

  // The stimulus of one cycle counts at the end of the next, so that its sum is there in the one
  // after that.
  longint expected, awaited, finished, result;
  logic first, last;
  logic [BIAS_BITS-1:0] b;
  logic [W-1:0] w;
  logic [X-1:0] x;
  initial begin
    begun = 0;
    left = 0;
    start = 0;
    valid = 0;
  end

  always @(posedge clk) begin
    if (begun[1]) begin
      checks = checks + 1;
      if (sum != awaited[SUM_BITS-1:0]) differ("sum", 64'(sum), awaited);
      if (last) begin
        finished = awaited;
        if (STYLE == codes_pkg::EXACT) begin
          finished = bittrue_mac_finish(model, awaited);
          checks = checks + 1;
          if (accumulator != finished[ACCUMULATOR_BITS-1:0])
            differ("accumulator", 64'(accumulator), finished);
        end
        result = bittrue_requantize(model, finished);
        checks = checks + 1;
        chains = chains + 1;
        if (word != result[OUT_BITS-1:0]) differ("word", 64'(word), result);
      end
    end
    awaited = expected;
    first = left == 0;
    last = first;
    begun = {begun[0], 1'b1};
    random = random ^ (random << 13);
    random = random ^ (random >> 7);
    random = random ^ (random << 17);
    if (first) begin
      b = random[BIAS_BITS-1:0];
      left = random[63:61] + 4'd1;
      expected = bittrue_mac_start(model, 64'(b));
    end else begin
      w = random[60:58] == 0 ? {random[57], {(W - 1) {~random[57]}}} : random[W-1:0];
      x = random[56:54] == 0 ? {random[53], {(X - 1) {~random[53]}}} : random[26+:X];
      left = left - 1;
      expected = bittrue_mac_step(model, expected, 32'(w), 32'(x));
    end
    start <= first;
    valid <= ~first;
    bias <= b;
    weight <= w;
    activation <= x;
  end
endmodule
