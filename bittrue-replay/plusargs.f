+weights=weights.hex
+patches=patches.hex
+partial_sums=partial_sums.hex
+accumulator=accumulator.hex
+activated=activated.hex
+bias=bias.hex
+expected=expected.hex
