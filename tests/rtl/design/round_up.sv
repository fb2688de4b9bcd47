// Whether the integer below a value is rounded up, from the bits that are dropped: the first of
// them (guard) and whether any other is set (sticky).
module round_up #(
    parameter int ROUNDING = 0
) (
    input  logic negative,
    input  logic odd,
    input  logic guard,
    input  logic sticky,
    output logic up
);
  generate
    case (ROUNDING)
      codes_pkg::FLOOR: begin : g_floor
        assign up = 1'b0;
      end
      codes_pkg::TOWARD_ZERO: begin : g_toward_zero
        assign up = negative & (guard | sticky);
      end
      codes_pkg::HALF_UP: begin : g_half_up
        assign up = guard;
      end
      codes_pkg::HALF_TOWARD_ZERO: begin : g_half_toward_zero
        assign up = guard & (sticky | negative);
      end
      codes_pkg::HALF_AWAY: begin : g_half_away
        assign up = guard & (sticky | ~negative);
      end
      codes_pkg::HALF_DOWN: begin : g_half_down
        assign up = guard & sticky;
      end
      default: begin : g_half_even
        assign up = guard & (sticky | odd);
      end
    endcase
  endgenerate
endmodule
