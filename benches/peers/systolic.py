"""SCALE-Sim as a peer: python systolic.py TOPOLOGY.csv DATAFLOW ROWS COLUMNS WHOLE.

Prints a line `layer,cycles,seconds` for each layer of the topology: the rows of the demand matrices,
which are what the array asks of its memories cycle by cycle. For the layer WHOLE one more line
`layer,cycles,seconds` with what the tool as a whole reports; its memory model walks through those
matrices, and takes some 10 s for 100 000 cycles.
"""

import sys
import time

from scalesim.layout_utils import layouts
from scalesim.scale_config import scale_config
from scalesim.single_layer_sim import single_layer_sim
from scalesim.topology_utils import topologies

topology, dataflow, rows, columns, whole = sys.argv[1:]
# Memories in kB, offsets of the operands' addresses, bandwidth to be calculated.
config = scale_config()
memories, offsets = [1024] * 3, [0, 10_000_000, 20_000_000]
config.update_from_list(["peers", rows, columns, *memories, *offsets, dataflow, "CALC", []])
topo = topologies()
topo.load_arrays(topology)


def layer(index):
    simulator = single_layer_sim()
    simulator.set_params(index, config, topo, layouts(), verbose=False)
    return simulator


def array_cycles(simulator):
    operands, array = simulator.op_mat_obj, simulator.compute_system
    operands.create_operand_matrices()
    ifmap, filters, ofmap = operands.get_all_operand_matrix()
    array.set_params(config_obj=config, ifmap_op_mat=ifmap, filter_op_mat=filters, ofmap_op_mat=ofmap)
    demands = array.get_demand_matrices()
    (cycles,) = {len(demand) for demand in demands}
    return cycles


def whole_cycles(simulator):
    simulator.run()
    return simulator.get_compute_report_items()[1]


for index in range(topo.get_num_layers()):
    name = topo.get_layer_name(index)
    for measure in [array_cycles] + [whole_cycles] * (name == whole):
        start = time.perf_counter()
        cycles = measure(layer(index))
        print(f"{name},{cycles},{time.perf_counter() - start}", flush=True)
