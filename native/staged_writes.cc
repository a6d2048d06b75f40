#include "staged_writes.h"

#include <utility>

namespace keyless {

namespace {

// One memory BIO of each thread, kept for the next step: they do not nest, but where they should, another is made.
thread_local BioOwner spare_stage;

BioOwner TakeStage() { return spare_stage != nullptr ? std::move(spare_stage) : BioOwner(BIO_new(BIO_s_mem())); }

}  // namespace

StagedWrites::StagedWrites(SSL* ssl) : ssl_(ssl), target_(SSL_get_wbio(ssl)), stage_(TakeStage()) {
  if (stage_ == nullptr || target_ == nullptr) return;
  BIO_up_ref(target_);
  BIO_up_ref(stage_.get());
  SSL_set0_wbio(ssl_, stage_.get());
  staged_ = true;
}

StagedWrites::~StagedWrites() {
  if (!staged_) return;
  SSL_set0_wbio(ssl_, target_);
  char* data = nullptr;
  const long size = BIO_get_mem_data(stage_.get(), &data);  // NOLINT(runtime/int)
  if (size > 0) BIO_write(target_, data, static_cast<int>(size));
  (void)BIO_reset(stage_.get());
  spare_stage = std::move(stage_);
}

}  // namespace keyless
