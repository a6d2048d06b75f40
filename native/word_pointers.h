// Words as the functions of exec(3) take them.
#ifndef NATIVE_WORD_POINTERS_H_
#define NATIVE_WORD_POINTERS_H_

#include <string>
#include <vector>

namespace keyless {

// They point into `words`, which the system does not change.
inline std::vector<char*> WordPointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace keyless

#endif  // NATIVE_WORD_POINTERS_H_
