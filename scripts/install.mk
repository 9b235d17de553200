# SPDX-License-Identifier: BSD-2-Clause
# Manual pages and completion, both from the tool's argument parser; `make install`; the Debian package.
prefix      ?= /usr/local
SHARE        = $(DESTDIR)$(prefix)/share/lasthop
DOC          = $(DESTDIR)$(prefix)/share/doc/lasthop
# guests that examples/ and docs/ name; the others are the tests'
SHIPPED     := $(addprefix $(B)/guest/,bench.elf abuse.elf netd.elf netd-crash.elf hello.elf)
# what the tool reads of the source tree, at the same places below SHARE
READS       := include/lasthop/policy.h guest/linux/build guest/linux/init guest/linux/tests \
	guest/linux/remote guest/linux/iperf.awk guest/linux/unpack tests/bench/peers/kvm-peer.sh tests/bench/peers/testpmd-vhost.sh
# without what only a source tree's scripts use
LIBRARY     := $(filter-out %/bochsroot.py %/soaksummary.py %/roff.py %/psf.py,$(sort $(wildcard scripts/lasthoplib/*.py)))
PYTHON      ?= /usr/bin/python3

.PHONY: man install deb
man: export SOURCE_DATE_EPOCH ?= $(shell scripts/version --date)
man: ## make the manual pages
	$(PYTHON) scripts/gen_man.py $(B)/man

$(B)/lasthop.bash:
	$(mkdir)
	register-python-argcomplete lasthop > $@

install: $(B)/BOOTX64.EFI $(SHIPPED) host man $(B)/lasthop.bash ## install below DESTDIR and prefix (/usr/local)
	install -d $(DESTDIR)$(prefix)/bin $(DESTDIR)$(prefix)/lib/lasthop/guest $(DESTDIR)$(prefix)/lib/lasthop/host \
		$(SHARE)/scripts/lasthoplib $(DOC)/docs/plots $(DESTDIR)$(prefix)/share/man/man1 \
		$(DESTDIR)$(prefix)/share/man/man5 $(DESTDIR)$(prefix)/share/bash-completion/completions
	install -m 644 $(B)/BOOTX64.EFI $(DESTDIR)$(prefix)/lib/lasthop
	install -m 644 $(SHIPPED) $(DESTDIR)$(prefix)/lib/lasthop/guest
	install $(B)/host/lasthop-check $(B)/host/lasthop-trace $(DESTDIR)$(prefix)/lib/lasthop/host
	install -m 644 $(LIBRARY) $(SHARE)/scripts/lasthoplib
	sed '1s|.*|#!$(PYTHON)|' scripts/lasthop > $(SHARE)/scripts/lasthop
	chmod 755 $(SHARE)/scripts/lasthop
	ln -sf ../share/lasthop/scripts/lasthop $(DESTDIR)$(prefix)/bin/lasthop
	for file in $(READS); do \
		install -D -m $$(head -c 2 $$file | grep -q '#!' && echo 755 || echo 644) $$file $(SHARE)/$$file || exit; done
	scripts/version > $(SHARE)/VERSION
	install -d $(SHARE)/examples
	install -m 644 examples/*.dts $(SHARE)/examples
	ln -sfn ../../lasthop/examples $(DOC)/examples
	install -m 644 README.md SECURITY.md $(DOC)
	install -m 644 docs/*.md $(DOC)/docs
	install -m 644 docs/plots/*.svg $(DOC)/docs/plots
	install -m 644 $(B)/man/*.1 $(DESTDIR)$(prefix)/share/man/man1
	install -m 644 $(B)/man/*.5 $(DESTDIR)$(prefix)/share/man/man5
	install -m 644 $(B)/lasthop.bash $(DESTDIR)$(prefix)/share/bash-completion/completions/lasthop

deb: ## the Debian package, in $(B)/deb
	@scripts/setup --no-bochs --deb
	@scripts/build all man
	@B=$(B) scripts/deb
