// An error planted in the design, to see it caught: 0 none, 1 rounding constant, 2 saturation bound,
// 3 sign extension, 4 operand order.
`ifndef FAULT
`define FAULT 0
`endif
