# Every target sets up what it needs from nothing: a virtual environment in the checkout, with uv
# where it is installed and pip where it is not.

PYTHON ?= python3
SHARED ?= ../shared
FULL := .venv
BASE := .venv-base
EVERYTHING := '.[train,bench,dev]'
UV := $(shell command -v uv 2>/dev/null)

.PHONY: help demo test coverage faults check zoo zoo-drawn evidence regression \
	regression-baseline format clean

help:
	@echo "make demo    search a small drawn catalogue; installs the runtime only"
	@echo "make test    run the test suite, in a process for each core"
	@echo "make coverage"
	@echo "             the same, and which lines it never ran"
	@echo "make faults  kill the indexer 200 times, flip 1,000 bits in each file, 8 readers,"
	@echo "             read 10,000 malformed images, live through 300 histories; a quarter of an hour"
	@echo "make check   everything CI runs: format, lint, types, tests, wheel"
	@echo "make zoo     train and export the shipped model again, from nothing"
	@echo "make evidence SHARED=../shared"
	@echo "             measure again what the README claims"
	@echo "make regression"
	@echo "             count instructions, and compare with the committed baseline; needs valgrind"
	@echo "make format  rewrite the sources in the house format"
	@echo "make clean   remove environments and caches"

demo: $(BASE)/ready
	rm -rf boost-edge-demo
	$(BASE)/bin/boost-edge demo

# A process for each core, and in it one thread for what would take them all.
SUITE = OMP_NUM_THREADS=1 $(FULL)/bin/python -m pytest --numprocesses auto --dist loadfile

test: $(FULL)/ready
	$(SUITE)

# Tracing every line takes its time, so it is no part of the checks.
coverage: $(FULL)/ready
	$(SUITE) --cov --cov-report=term:skip-covered

# BOOST_EDGE_FAULT_SEED chooses other moments.
faults: $(FULL)/ready
	BOOST_EDGE_KILLS=200 BOOST_EDGE_FLIPS=1000 BOOST_EDGE_READERS=8 BOOST_EDGE_MALFORMED=10000 \
		BOOST_EDGE_HISTORIES=300 $(FULL)/bin/python -m pytest -rP tests/runtime/test_faults*.py \
		tests/runtime/test_malformed.py tests/runtime/test_any_history.py

check: $(FULL)/ready
	$(FULL)/bin/ruff format --check .
	$(FULL)/bin/ruff check .
	$(FULL)/bin/mypy
	$(FULL)/bin/pyright --pythonpath $(FULL)/bin/python
	$(MAKE) test

# What the README and docs/ claim, from the data set and weights in $(SHARED), but for the shipped
# model, which is zoo's; hours on two cores, and it goes on where it was interrupted.
RESULTS := bench/results
FASHION = $(SHARED)/datasets/fashion-product-images-small
WEIGHTS = $(SHARED)/weights
PARTIAL = $(WEIGHTS)/resnet18_partial_no_layer4_convs.safetensors
LAYER3 = --backbone resnet18 --tap layer3 --weights $(PARTIAL)
# As train taps it by default, where a validation part says that it is best read (decision 21).
STAGES = layer1:4x4+layer2:4x4+layer3:4x4
RESNET18 = --backbone resnet18 --tap $(STAGES) --weights $(PARTIAL)
SEVEN = gender,masterCategory,subCategory,articleType,baseColour,season,usage
DATA = $(FASHION)/styles.csv --images $(FASHION)/images \
	--attributes $(SEVEN) --name-column productDisplayName
BENCH = $(FULL)/bin/boost-edge bench
QUALITY = $(BENCH) quality $(DATA)
TRAINED_READOUTS = hidden,attributes,blend,match,together
ALL_READOUTS = --readout raw,$(TRAINED_READOUTS)

# One file for each network; those of imagenet say that they could not be measured where there is
# no network connection.
ENDS := resnet18-layer3 resnet18-layer4-distilled-end vit_tiny_patch16_224 squeezenet1_1 \
	mobilenet_v2 pca512
# The same networks, tapped as train does by default, but for layer4 beside it where it is distilled.
STAGED := resnet18-stages resnet18-layer4-distilled-stages vit_tiny_patch16_224-stages \
	squeezenet1_1-stages mobilenet_v2-stages
QUALITIES := $(STAGED:%=$(RESULTS)/quality/%.json) $(ENDS:%=$(RESULTS)/quality/%.json)
ABSENT := $(RESULTS)/quality/resnet18-imagenet.json $(RESULTS)/quality/vit_b_16-imagenet.json
VIT := $(RESULTS)/quality/vit_tiny_patch16_224.json
HONESTY := $(RESULTS)/honesty/resnet18-stages.json
CONTRASTIVE := $(RESULTS)/honesty/resnet18-stages-contrastive.json
CURVE := $(RESULTS)/curve/resnet18-stages.json
TAPS := $(patsubst %,$(RESULTS)/ablation/%-taps.json,resnet18 vit_tiny_patch16_224 squeezenet1_1 \
	mobilenet_v2)
VERSUS := $(patsubst %,$(RESULTS)/quality/%.json,resnet18-versus-vit resnet18-versus-raw \
	resnet18-together-versus-vit $(STAGED:%=%-versus-raw))

# Quality is not disturbed by other work: as many files at once as there are cores, on a thread each,
# the longest first. Times are measured alone.
COUNTED := $(HONESTY) $(CONTRASTIVE) $(RESULTS)/ablation/resnet18-layer3.json \
	$(RESULTS)/ablation/resnet18-stages.json $(TAPS) \
	$(RESULTS)/choosing.json $(QUALITIES) $(ABSENT) $(VERSUS) \
	$(CURVE) $(RESULTS)/agreement-all.json $(RESULTS)/agreement.json \
	$(RESULTS)/agreement-layer3.json $(RESULTS)/resize.json
TIMED := $(RESULTS)/tuned.json $(RESULTS)/latency.json $(RESULTS)/cost.json $(RESULTS)/overhead.json \
	$(RESULTS)/alternatives.json $(RESULTS)/quantisers.json $(RESULTS)/crossover.json \
	$(RESULTS)/search.json

# Since when evidence measures: what is newer is not measured again when it goes on.
BEGUN := runs/evidence-begun

evidence: $(FULL)/ready $(BEGUN)
	@echo "what is older than $(BEGUN) is measured, each file shown when it is done; to measure all" \
		"of them anew, delete that one"
	OMP_NUM_THREADS=1 $(MAKE) --jobs $$(nproc) --output-sync=line evidence-counted
	$(MAKE) --jobs 1 evidence-timed
	$(MAKE) $(RESULTS)/report.html
	rm $(BEGUN)

evidence-counted: $(COUNTED)
evidence-timed: $(TIMED)

$(BEGUN):
	mkdir -p $(@D) && touch $@

# Committed files, yet one that is asked for by its name is always measured again.
.PHONY: evidence-counted evidence-timed $(RESULTS)/report.html
ifneq ($(filter evidence-%,$(MAKECMDGOALS)),)
$(COUNTED) $(TIMED): $(BEGUN)
# What is made of other results comes after them; asked for by its name, it takes what is there.
$(VERSUS): $(QUALITIES)
$(CURVE): $(VIT)
$(RESULTS)/cost.json: $(RESULTS)/latency.json
else
.PHONY: $(COUNTED) $(TIMED)
endif

# Of whatever is there: what is missing it names, with the command that makes it.
$(RESULTS)/report.html: | $(FULL)/ready
	$(FULL)/bin/python -m boost_edge.bench.performance docs/performance.md $(RESULTS)/overhead.json
	$(BENCH) report $(RESULTS) --out $@ --format both --pictures docs/pictures --picture raw-and-boosted

$(RESULTS)/resize.json: | $(FULL)/ready
	$(QUALITY) $(LAYER3) --resize squash,crop,letterbox --recipe boost --seeds 3 --out $@

resnet18-layer3 = $(LAYER3)
DISTILLED = --backbone resnet18 --weights $(WEIGHTS)/resnet18_layer4_distilled.safetensors \
	--note "layer4 was distilled from two other networks: not torchvision's checkpoint"
resnet18-layer4-distilled-end = $(DISTILLED) --tap layer4
VIT_TINY = --backbone vit_tiny_patch16_224 --weights $(WEIGHTS)/vit_tiny_patch16_224.safetensors
vit_tiny_patch16_224 = $(VIT_TINY) --tap encoder_layer_11
SQUEEZENET = --backbone squeezenet1_1 --weights $(WEIGHTS)/squeezenet1_1.safetensors
squeezenet1_1 = $(SQUEEZENET) --tap features.12
MOBILENET = --backbone mobilenet_v2 --weights $(WEIGHTS)/mobilenet_v2.safetensors
mobilenet_v2 = $(MOBILENET) --tap features.18
resnet18-stages = $(RESNET18)
resnet18-layer4-distilled-stages = $(DISTILLED) --tap $(STAGES)+layer4
vit_tiny_patch16_224-stages = $(VIT_TINY) --tap encoder_layer_5:4x4+encoder_layer_8:4x4
squeezenet1_1-stages = $(SQUEEZENET) --tap features.7:4x4+features.10:4x4
mobilenet_v2-stages = $(MOBILENET) --tap features.3:4x4+features.6:4x4+features.13:4x4
pca512 = --backbone pca --weights none --tap pca512

# The paper's recipe on one of them alone.
BOTH = boost,contrastive
resnet18-layer3-recipes = paper,$(BOTH)

$(QUALITIES): $(RESULTS)/quality/%.json: | $(FULL)/ready
	$(QUALITY) $($*) --recipe $(or $($*-recipes),$(BOTH)) $(ALL_READOUTS) --out $@

$(RESULTS)/quality/resnet18-imagenet.json: | $(FULL)/ready
	$(QUALITY) --backbone resnet18 --recipe $(BOTH) $(ALL_READOUTS) --out $@

$(RESULTS)/quality/vit_b_16-imagenet.json: | $(FULL)/ready
	$(QUALITY) --backbone vit_b_16 --tap encoder_layer_11 --readout raw --out $@

# Two sides each: by default, and with the recipe and readout that find most, beside the rival and
# beside the same network's usual features.
BEST = contrastive/together
resnet18-versus-vit = vit_tiny_patch16_224.json:raw resnet18-stages.json:boost/match
resnet18-versus-raw = resnet18-layer3.json:raw resnet18-stages.json:boost/match
resnet18-together-versus-vit = vit_tiny_patch16_224.json:raw resnet18-stages.json:$(BEST)
resnet18-stages-versus-raw = resnet18-layer3.json:raw resnet18-stages.json:$(BEST)
resnet18-layer4-distilled-stages-versus-raw = resnet18-layer4-distilled-end.json:raw \
	resnet18-layer4-distilled-stages.json:$(BEST)
vit_tiny_patch16_224-stages-versus-raw = vit_tiny_patch16_224.json:raw \
	vit_tiny_patch16_224-stages.json:$(BEST)
squeezenet1_1-stages-versus-raw = squeezenet1_1.json:raw squeezenet1_1-stages.json:$(BEST)
mobilenet_v2-stages-versus-raw = mobilenet_v2.json:raw mobilenet_v2-stages.json:$(BEST)

$(VERSUS): $(RESULTS)/quality/%.json: | $(FULL)/ready
	$(BENCH) versus $(addprefix $(RESULTS)/quality/,$($*)) --out $@

$(HONESTY): | $(FULL)/ready
	$(BENCH) honesty $(DATA) $(RESNET18) $(ALL_READOUTS) --out $@

$(CONTRASTIVE): | $(FULL)/ready
	$(BENCH) honesty $(DATA) $(RESNET18) --recipe contrastive $(ALL_READOUTS) --out $@

$(CURVE): | $(FULL)/ready
	$(BENCH) curve $(DATA) $(RESNET18) --readout hidden,attributes,match --baseline $(VIT):raw --seeds 5 --out $@

$(RESULTS)/choosing.json: | $(FULL)/ready
	$(BENCH) choose $(DATA) $(RESNET18) --resize squash --seeds 3 --out $@

$(RESULTS)/ablation/resnet18-layer3.json: | $(FULL)/ready
	$(BENCH) ablate $(DATA) $(LAYER3) --seeds 3 --taps layer2+layer3 --image-sizes 160 \
		--factors $(FACTORS) --out $@

# On the network of the README: which contrast and which readout find most, and what refitting on
# the validation part adds.
$(RESULTS)/ablation/resnet18-stages.json: | $(FULL)/ready
	$(BENCH) ablate $(DATA) $(RESNET18) --seeds 3 --factors contrast,refit \
		--readout $(TRAINED_READOUTS) --out $@

# Where each network is best read, beside its end, and of ResNet-18 the grid over its last stage.
resnet18-taps = --backbone resnet18 --tap layer3:4x4 --weights $(PARTIAL) \
	--taps layer2:4x4+layer3:4x4,$(STAGES)
vit_tiny_patch16_224-taps = $(vit_tiny_patch16_224) \
	--taps encoder_layer_8:4x4,encoder_layer_5:4x4+encoder_layer_8:4x4
squeezenet1_1-taps = $(squeezenet1_1) --taps features.10:4x4,features.7:4x4+features.10:4x4
mobilenet_v2-taps = $(mobilenet_v2) --taps $\
	features.13:4x4,features.6:4x4+features.13:4x4,features.3:4x4+features.6:4x4+features.13:4x4

$(TAPS): $(RESULTS)/ablation/%.json: | $(FULL)/ready
	$(BENCH) ablate $(DATA) $($*) --recipe contrastive --seeds 3 --factors none \
		--readout match,together --out $@

FACTORS = width,dropout,standardise,label_smoothing,weight_decay,blend,components,importance,$\
	calibration,flips,tags,contrast

# With nothing else running: ratios are worth little on a busy machine. A million vectors take two
# hours the first time, and 14 GB of disk.
$(RESULTS)/search.json: | $(FULL)/ready
	$(BENCH) search --rows 1000000 --engines ours,usearch-f32,hnswlib,faiss --work runs/search --out $@

# What runtime/exact_limit.py chooses between by the size of a gallery.
$(RESULTS)/crossover.json: | $(FULL)/ready
	$(BENCH) crossover --out $@

# Ours in float32, in 8 bits, and tuned (TUNED: any model files), and the shipped model, beside the
# architectures, all in one interleaved run.
OURS := runs/stages/match.onnx runs/stages/match-int8.onnx
TUNED ?= runs/tuned/tuned.onnx

$(RESULTS)/latency.json: $(OURS) $(TUNED) | $(FULL)/ready
	$(BENCH) latency --backbones vit_b_16,resnet18+boost,resnet18@$(STAGES)+boost,vit_tiny_patch16_224 \
		$(foreach each,$(OURS) $(TUNED) $(ZOO),--model $(each)) --reference vit_b_16 --seconds 3 \
		--scenario-seconds 2 --cold-starts 5 --out $@

runs/stages/match-int8.onnx: runs/stages/run/train.json
	$(FULL)/bin/boost-edge export runs/stages/run --readout match --precision int8 --out $@

# The fastest that finds nearly as much as the best, and what it finds of unseen products beside raw
# ViT-Tiny/16: gains are over that one.
runs/tuned/tuned.onnx: | runs/zoo/products.csv
	$(FULL)/bin/boost-edge tune runs/zoo/products.csv --images $(FASHION)/images \
		--attributes $(SEVEN) --resize squash --backbone resnet18 --weights $(PARTIAL) \
		--taps $(STAGES) --image-sizes 96,128,224 --readouts match --limit 3000 --seed 1 \
		--min-map 97% --out $@

runs/vit-tiny/vit-tiny-raw.onnx: | runs/zoo/products.csv
	test -e runs/vit-tiny/run/train.json || $(PRODUCTS) --backbone vit_tiny_patch16_224 \
		--weights $(WEIGHTS)/vit_tiny_patch16_224.safetensors --readout raw --limit 3000 --seed 1 \
		--out runs/vit-tiny/run
	$(FULL)/bin/boost-edge export runs/vit-tiny/run --out $@

$(RESULTS)/tuned.json: runs/vit-tiny/vit-tiny-raw.onnx $(TUNED)
	$(JUDGE) $(foreach each,$(filter %.onnx,$^),--model $(each)) --out $@

# With nothing else running: 8 bits by onnxruntime's tools, and by NNCF.
$(RESULTS)/quantisers.json: runs/stages/run/train.json
	$(BENCH) quantisers runs/stages/run --readout match --out $@

# In instructions, whatever else runs; no part of the evidence. A new baseline is made on purpose.
regression: | $(FULL)/ready
	$(BENCH) regression --baseline $(RESULTS)/regression.json

regression-baseline: | $(FULL)/ready
	$(BENCH) regression --out $(RESULTS)/regression.json

# Each in an environment of its own; torch's takes minutes and 6 GB.
ALONE := runs/environments
$(RESULTS)/alternatives.json: $(ALONE)/base/ready $(ALONE)/torch/ready $(ALONE)/fastembed/ready | $(FULL)/ready
	$(BENCH) alternatives --python boost-edge=$(ALONE)/base/bin/python \
		--python torch-numpy=$(ALONE)/torch/bin/python --python torch-faiss=$(ALONE)/torch/bin/python \
		--python fastembed=$(ALONE)/fastembed/bin/python --out $@

$(ALONE)/base/ready: NEEDS = .
$(ALONE)/torch/ready: NEEDS = torch torchvision pillow numpy faiss-cpu
$(ALONE)/fastembed/ready: NEEDS = fastembed
$(ALONE)/%/ready: pyproject.toml
	$(call new_venv,$(@D))
	$(call install,$(@D),$(NEEDS))
	touch $@

# Its tables stand in docs/performance.md, where report.html puts them.
$(RESULTS)/overhead.json: | $(FULL)/ready
	$(BENCH) overhead --backbones resnet18+boost,resnet18@$(STAGES)+boost \
		--model models/zoo/fashion.onnx --files 1024 --out $@

$(RESULTS)/cost.json: | $(FULL)/ready
	$(BENCH) cost $(RESULTS)/latency.json --out $@

# What the first version did, and what came of early stages on a grid and the readout match: the same training
# images, the same queries.
$(RESULTS)/agreement-layer3.json: runs/layer3/raw.indexed runs/layer3/attributes.indexed
	$(AGREEMENT) --run runs/layer3/run --gallery runs/layer3/raw --gallery runs/layer3/attributes --out $@

$(RESULTS)/agreement.json: runs/stages/raw.indexed runs/stages/match.indexed
	$(AGREEMENT) --run runs/stages/run --gallery runs/stages/raw --gallery runs/stages/match --out $@

# All images, and so many queries that the share is known to a point; beside the usual raw features.
$(RESULTS)/agreement-all.json: runs/usual/all/raw.indexed runs/stages/all/match.indexed
	$(AGREEMENT) --run runs/stages/run --queries 5000 --gallery runs/usual/all/raw \
		--gallery runs/stages/all/match --out $@

AGREEMENT = $(FULL)/bin/boost-edge bench agreement $(FASHION)/styles.csv \
	--images $(FASHION)/images --attribute articleType

# A run, its models and their galleries. $(1) is the folder's name, $(2) the training's options.
# Three of ten images are indexed, those whose number ends in 1, 2 or 3; or all.
define fashion
# A file beside each gallery says that it is whole: an interrupted index goes on.
runs/$(1)/%.indexed: runs/$(1)/%.onnx
	$$(FULL)/bin/boost-edge index $$(FASHION)/images/*[123].jpg --model $$< --gallery $$(basename $$@)
	touch $$@

runs/$(1)/all/%.indexed: runs/$(1)/%.onnx
	$$(FULL)/bin/boost-edge index $$(FASHION)/images --model $$< --gallery $$(basename $$@)
	touch $$@

.PRECIOUS: runs/$(1)/%.onnx runs/$(1)/%.indexed runs/$(1)/all/%.indexed
runs/$(1)/%.onnx: runs/$(1)/run/train.json
	$$(FULL)/bin/boost-edge export runs/$(1)/run --readout $$* --out $$@

runs/$(1)/run/train.json: | $$(FULL)/ready
	$$(FULL)/bin/boost-edge train $$(FASHION)/styles.csv --images $$(FASHION)/images \
		--attributes $$(SEVEN) $(2) --limit 3000 --out $$(@D)
endef

$(eval $(call fashion,layer3,$(LAYER3)))
$(eval $(call fashion,usual,$(LAYER3) --resize squash --readout raw))
$(eval $(call fashion,stages,$(RESNET18) --resize squash --readout match))

# The shipped model, from nothing: data set, teachers, network, file, card. models/zoo/README.md
# describes it. Teachers and network take a quarter of an hour with a GPU and days without; what was
# interrupted goes on. A run that is there is taken as it is: delete those of another recipe first.
ZOO := models/zoo/fashion.onnx
MODELS := $(RESULTS)/models.json
ZOO_LATENCY := models/zoo/latency.json

JUDGE = $(BENCH) models runs/zoo/products.csv --images $(FASHION)/images --attributes $(SEVEN) \
	--name-column productDisplayName

runs/zoo/products.csv: | $(FULL)/ready
	$(BENCH) split $(FASHION)/styles.csv --images $(FASHION)/images \
		--name-column productDisplayName --out $@

zoo: runs/zoo/products.csv
	test -e runs/zoo/teacher/train.json || $(PRODUCTS) --backbone vit_tiny_patch16_224 \
		--weights $(WEIGHTS)/vit_tiny_patch16_224.safetensors --image-size 192 $(TEACHER) \
		--out runs/zoo/teacher
	test -e runs/zoo/teacher-resnet18/train.json || $(PRODUCTS) $(LAYER3) --image-size 160 $(TEACHER) \
		--out runs/zoo/teacher-resnet18
	$(call own,0,)
	$(FULL)/bin/boost-edge export runs/zoo/shipped --precision int8 --out $(ZOO)
	$(call own,1,-again)
	(for each in teacher teacher-resnet18 own own-again shipped; do $(FULL)/bin/boost-edge inspect runs/zoo/$$each; done) \
		> models/zoo/training.txt
	$(MAKE) $(MODELS) $(ZOO_LATENCY) models/zoo/README.md

# $(call own,SEED,SUFFIX): a network of our own, and the head on it that is shipped.
define own
	test -e runs/zoo/own$(2)/train.json || $(PRODUCTS) $(OWN) --weights none --tap layer3+layer4 \
		--image-size 128 --finetune --epochs 45 --batch-size 256 --teacher runs/zoo/teacher \
		--teacher runs/zoo/teacher-resnet18 --teacher-weight 0.9 --consistent --mixup 0.5 \
		--readout raw --seed $(1) --out runs/zoo/own$(2)
	test -e runs/zoo/shipped$(2)/train.json || $(PRODUCTS) $(OWN) --weights runs/zoo/own$(2) \
		--tap $(OWN_STAGES) --image-size 112 $(SERVED) --readout blend --out runs/zoo/shipped$(2)
endef

# What image sizes and precisions come to. With nothing else running, once there is runs/zoo/own.
models/zoo/choice.json: | $(FULL)/ready
	$(FULL)/bin/boost-edge tune runs/zoo/products.csv --images $(FASHION)/images --attributes $(SEVEN) \
		--resize squash $(OWN) --weights runs/zoo/own --taps $(OWN_STAGES) $(SERVED) --readouts blend,match \
		--image-sizes 64,80,96,112,128,160 --limit 4000 --work runs/zoo/choice \
		--out runs/zoo/choice.onnx --report $@

PRODUCTS = $(FULL)/bin/boost-edge train runs/zoo/products.csv --images $(FASHION)/images \
	--attributes $(SEVEN) --resize squash
TEACHER = --width 512 --finetune --epochs 10
OWN = --backbone resnet18_w56
OWN_STAGES = layer1+layer2+layer3+layer4
SERVED = --recipe finetuned --contrast 0.1 --components 840
FROZEN = --backbone resnet18 --weights $(PARTIAL) --image-size 160

# Photographs of which nothing should be said for sure, from Debian's archive: views, and objects cut
# out on white as catalogues do, none of them worn.
UNLIKE := runs/unlike
STAMPS := animals food hobbies household medical plants space sports vehicles

$(UNLIKE)/ready:
	rm -rf $(@D) && mkdir -p $(@D)/views $(@D)/objects
	cd $(@D) && apt-get download lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 mate-backgrounds \
		tuxpaint-stamps-default && for each in *.deb; do dpkg -x $$each .; done
	cp $(@D)/usr/share/backgrounds/*.jpg $(@D)/usr/share/backgrounds/mate/nature/*.jpg $(@D)/views
	for each in $(STAMPS); do cp -r $(@D)/usr/share/tuxpaint/stamps/$$each $(@D)/objects; done
	find $(@D)/objects -type f '(' -path '*cartoon*' -o -not -name '*.png' ')' -delete
	rm -r $(@D)/usr $(@D)/*.deb && touch $@

export-blend = $(FULL)/bin/boost-edge export runs/zoo/$(1) --readout blend --out runs/zoo/$(2).onnx

# Beside it what it must beat: a frozen network with real weights, boosted with 3,000 labels as well
# as we know how (gains are over that one) and with its other readout, by default, and with all labels;
# what it learnt from; and what the same recipe comes to with another seed.
$(MODELS): | $(FULL)/ready $(UNLIKE)/ready
	test -e runs/zoo/few/train.json || $(PRODUCTS) $(FROZEN) --limit 3000 --seed 1 --out runs/zoo/few
	test -e runs/zoo/contrastive/train.json || $(PRODUCTS) $(FROZEN) --recipe contrastive --limit 3000 \
		--seed 1 --out runs/zoo/contrastive
	test -e runs/zoo/all/train.json || $(PRODUCTS) $(FROZEN) --out runs/zoo/all
	$(call own,1,-again)
	$(call export-blend,contrastive,frozen-3000)
	$(FULL)/bin/boost-edge export runs/zoo/contrastive --readout together \
		--out runs/zoo/frozen-3000-together.onnx
	$(FULL)/bin/boost-edge export runs/zoo/few --out runs/zoo/frozen-3000-default.onnx
	$(call export-blend,all,frozen-all)
	$(call export-blend,teacher,teacher)
	$(FULL)/bin/boost-edge export runs/zoo/shipped-again --precision int8 --out runs/zoo/again.onnx
	$(JUDGE) \
		$(foreach each,frozen-3000 frozen-3000-together frozen-3000-default frozen-all,--model runs/zoo/$(each).onnx) \
		--model $(ZOO) --model runs/zoo/again.onnx --model runs/zoo/teacher.onnx \
		--unlike $(UNLIKE)/views --unlike $(UNLIKE)/objects --out $@

# With nothing else running.
$(ZOO_LATENCY): | $(FULL)/ready
	$(BENCH) latency --backbones vit_b_16,resnet18+boost --model $(ZOO) --runtimes onnxruntime \
		--threads 1 --batches 1 --seconds 2 --gallery-images 2000 --cold-starts 0 --scenarios none \
		--out $@

# What the demo searches its drawings with.
zoo-drawn: | $(FULL)/ready
	rm -rf runs/drawn
	$(FULL)/bin/python -m boost_edge.bench.catalogue runs/drawn/catalogue --count 5000 --seed 1
	$(FULL)/bin/boost-edge train runs/drawn/catalogue/labels.csv \
		--images runs/drawn/catalogue/images --backbone squeezenet1_1 --weights none \
		--tap features.4+features.7+features.10 --attributes type,colour,pattern,sleeve \
		--image-size 112 --readout attributes --out runs/drawn/run
	$(FULL)/bin/boost-edge export runs/drawn/run --out models/zoo/garments-drawn.onnx

models/zoo/README.md: | $(FULL)/ready
	$(BENCH) card $(ZOO) --measured $(MODELS) --latency $(ZOO_LATENCY) --notes models/zoo/notes.md \
		--out $@

.PHONY: $(MODELS) $(ZOO_LATENCY) models/zoo/README.md models/zoo/choice.json

format: $(FULL)/ready
	$(FULL)/bin/ruff check --fix-only .
	$(FULL)/bin/ruff format .

clean:
	rm -rf $(FULL) $(BASE) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist

$(FULL)/ready: pyproject.toml
	$(call new_venv,$(FULL))
	$(call install,$(FULL),--editable $(EVERYTHING))
	touch $@

$(BASE)/ready: pyproject.toml
	$(call new_venv,$(BASE))
	$(call install,$(BASE),--editable .)
	touch $@

ifdef UV
new_venv = uv venv --quiet --clear --python $(PYTHON) $(1)
install = uv pip install --quiet --python $(1)/bin/python $(2)
else
new_venv = $(PYTHON) -m venv --clear $(1)
install = $(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)
endif
