// Chains of products in the C simulation of ap_fixed: ap_fixed OPERANDS WORDS
//
// OPERANDS has the numbers of pixels, channels and products of a chain, 32 bits each, then the
// weights [channel][product] and the activations [pixel][product], raw words of 16 bits. WORDS
// becomes the accumulators [pixel][channel], raw words of 32 bits. Then each line `N` of the
// standard input is answered with the seconds that N runs took.

#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <vector>

#include "ap_fixed.h"

using Operand = ap_fixed<16, 6>;                // s16f10
using Word = ap_fixed<24, 12, AP_RND, AP_SAT>;  // s24f12: products and accumulators

static std::vector<Operand> operands(std::ifstream& file, std::size_t count) {
  std::vector<std::int16_t> raw(count);
  file.read(reinterpret_cast<char*>(raw.data()), 2 * count);
  std::vector<Operand> words(count);
  for (std::size_t i = 0; i < count; i++) words[i].range() = ap_uint<16>(std::uint16_t(raw[i]));
  return words;
}

int main(int, char** arguments) {
  std::ifstream file(arguments[1], std::ios::binary);
  std::uint32_t sizes[3];
  file.read(reinterpret_cast<char*>(sizes), sizeof sizes);
  const std::size_t pixels = sizes[0], channels = sizes[1], products = sizes[2];
  const std::vector<Operand> weights = operands(file, channels * products);
  const std::vector<Operand> activations = operands(file, pixels * products);
  if (!file) return 1;
  std::vector<Word> results(pixels * channels);
  const auto run = [&] {
    for (std::size_t pixel = 0; pixel < pixels; pixel++) {
      const Operand* x = &activations[pixel * products];
      for (std::size_t channel = 0; channel < channels; channel++) {
        const Operand* w = &weights[channel * products];
        Word acc = 0;
        for (std::size_t k = 0; k < products; k++) acc = acc + Word(w[k] * x[k]);
        results[pixel * channels + channel] = acc;
      }
    }
  };
  run();
  std::vector<std::int32_t> raw(results.size());
  for (std::size_t i = 0; i < raw.size(); i++) {
    raw[i] = std::int32_t(results[i].range().to_uint() << 8) >> 8;
  }
  std::ofstream words(arguments[2], std::ios::binary);
  words.write(reinterpret_cast<const char*>(raw.data()), 4 * raw.size());
  words.close();
  if (!words) return 1;
  std::cout << "ready" << std::endl;
  for (std::size_t count; std::cin >> count;) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < count; i++) run();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    std::cout << elapsed.count() << std::endl;
  }
}
