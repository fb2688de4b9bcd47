// A processing element of the lane array. Its sync group keeps the last LOOKAHEAD chunks; the
// element has `count` of them at hand, the one that arrives in this cycle besides, and works on the
// first: each cycle on MACS effectual pairs, in accumulation order, for at least EMPTY cycles.
// Chunks that take no time pass with the one before them. With EMPTY at 0 several words may be
// finished in one cycle, each in its place of `finished`.
module lane_element #(
    parameter int CHUNK = 4,
    parameter int MACS = 1,
    parameter int EMPTY = 1,
    parameter int LOOKAHEAD = 1,
    parameter int STYLE = 1,
    parameter int WEIGHT_BITS = 8,      // signed
    parameter int ACTIVATION_BITS = 9,  // signed: room for unsigned words of one bit less
    parameter int PRODUCT_FRAC = 0,
    parameter int CAST_BITS = 16,
    parameter int CAST_FRAC = 0,
    parameter int CAST_ROUNDING = 0,
    parameter int CAST_OVERFLOW = 1,
    parameter int SUM_BITS = 32,
    parameter int SUM_FRAC = 0,
    parameter int SUM_ROUNDING = 0,
    parameter int SUM_OVERFLOW = 1,
    parameter int PLACES = EMPTY == 0 ? LOOKAHEAD : 1
) (
    input  logic                                       clk,
    input  logic                                       rst,
    // The chunks of the group, by slot, the arriving one included.
    input  logic                                       sent,
    input  logic [                      LOOKAHEAD-1:0] present,    // the element has an output
    input  logic [                      LOOKAHEAD-1:0] first,      // of the reduction
    input  logic [                      LOOKAHEAD-1:0] last,
    input  logic [             LOOKAHEAD*SUM_BITS-1:0] initial_sums,
    input  logic [                LOOKAHEAD*CHUNK-1:0] effectual,
    input  logic [LOOKAHEAD*CHUNK*ACTIVATION_BITS-1:0] activations,
    input  logic [    LOOKAHEAD*CHUNK*WEIGHT_BITS-1:0] weights,
    // Whether there is room at the start of the cycle, and whether it works in it.
    output logic                                       room,
    output logic                                       working,
    // Words finished in the cycle: the slots of their last chunks.
    output logic [                         PLACES-1:0] finished,
    output logic [                      PLACES*32-1:0] finished_slots,
    output logic [                PLACES*SUM_BITS-1:0] finished_sums
);
  /* verilator no_inline_module */
  localparam int EMPTY_CYCLES = EMPTY;

  logic [31:0] head, count, age;
  logic started;  // on the chunk at the head
  logic [CHUNK-1:0] pending;
  logic [SUM_BITS-1:0] sum;
  assign room = count < LOOKAHEAD;

  logic [LOOKAHEAD-1:0] instant;
  genvar s, m;
  generate
    for (s = 0; s < LOOKAHEAD; s = s + 1) begin : g_slot
      assign instant[s] = ~present[s] | (EMPTY_CYCLES == 0 && effectual[s*CHUNK+:CHUNK] == 0);
    end
  endgenerate

  logic [31:0] at_hand;
  assign at_hand = count + {31'd0, sent};
  assign working = at_hand != 0 && !instant[head];

  // Pairs of this cycle: the first MACS that are left, one after the other.
  logic [SUM_BITS-1:0] begun;
  assign begun = first[head] ? initial_sums[head*SUM_BITS+:SUM_BITS] : sum;
  generate
    for (m = 0; m < MACS; m = m + 1) begin : g_mac
      logic [CHUNK-1:0] now, lowest, left;
      logic [31:0] pair;
      logic [SUM_BITS-1:0] held, next, after;
      if (m == 0) begin : g_first
        assign now = started ? pending : effectual[head*CHUNK+:CHUNK];
        assign held = started ? sum : begun;
      end else begin : g_next
        assign now = g_mac[m-1].left;
        assign held = g_mac[m-1].after;
      end
      assign lowest = now & (~now + {{(CHUNK - 1) {1'b0}}, 1'b1});
      always_comb begin
        pair = head * CHUNK;
        for (int k = 0; k < CHUNK; k = k + 1) if (lowest[k]) pair = head * CHUNK + k;
      end
      mac_step #(
          .STYLE(STYLE),
          .WEIGHT_BITS(WEIGHT_BITS),
          .ACTIVATION_BITS(ACTIVATION_BITS),
          .PRODUCT_FRAC(PRODUCT_FRAC),
          .CAST_BITS(CAST_BITS),
          .CAST_FRAC(CAST_FRAC),
          .CAST_ROUNDING(CAST_ROUNDING),
          .CAST_OVERFLOW(CAST_OVERFLOW),
          .SUM_BITS(SUM_BITS),
          .SUM_FRAC(SUM_FRAC),
          .SUM_ROUNDING(SUM_ROUNDING),
          .SUM_OVERFLOW(SUM_OVERFLOW)
      ) element (
          .weight(weights[pair*WEIGHT_BITS+:WEIGHT_BITS]),
          .activation(activations[pair*ACTIVATION_BITS+:ACTIVATION_BITS]),
          .sum(held),
          .next(next)
      );
      assign left  = now & ~lowest;
      assign after = now == 0 ? held : next;
    end
  endgenerate
  logic [CHUNK-1:0] left;
  logic [SUM_BITS-1:0] worked;
  assign left = g_mac[MACS-1].left;
  assign worked = g_mac[MACS-1].after;

  logic done;
  assign done = working && left == 0 && age + 1 >= EMPTY_CYCLES;

  // What leaves: the chunk at the head if it is done, and then all that take no time.
  logic [31:0] leaving, slot;
  logic [SUM_BITS-1:0] after;
  logic going;
  always_comb begin
    leaving = 0;
    slot = head;
    going = at_hand != 0;
    after = working ? worked : sum;
    finished = 0;
    finished_slots = 0;
    finished_sums = 0;
    for (int place = 0; place < LOOKAHEAD; place = place + 1) begin
      if (place >= at_hand || !(instant[slot] || (place == 0 && done))) going = 1'b0;
      if (going) begin
        if (instant[slot] && present[slot] && first[slot])
          after = initial_sums[slot*SUM_BITS+:SUM_BITS];
        if (place < PLACES) begin
          finished[place] = present[slot] & last[slot];
          finished_slots[place*32+:32] = slot;
          finished_sums[place*SUM_BITS+:SUM_BITS] = after;
        end
        leaving = leaving + 1;
        slot = slot + 1 == LOOKAHEAD ? 0 : slot + 1;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      head <= 0;
      count <= 0;
      started <= 1'b0;
      age <= 0;
    end else begin
      head <= slot;
      count <= at_hand - leaving;
      started <= working & ~done;
      age <= working & ~done ? age + 1 : 0;
      pending <= left;
      sum <= after;
    end
  end
endmodule
